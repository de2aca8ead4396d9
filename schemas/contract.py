"""What other teams build on: AsyncAPI 3 of all topics and a JSON Schema of each message, written from the classes."""

import json
from typing import Any

from schemas.message import HEADER_ORIGIN, HEADER_SCHEMA, HEADER_STAGE, HEADER_TRACE
from schemas.topics import TOPICS, Topic

VERSION = "1.0.0"
_HEADERS = {
    HEADER_SCHEMA: "Noun and version of the message's schema, e.g. listing/1.",
    HEADER_TRACE: "Trace id, the same through every stage.",
    HEADER_STAGE: "The stage that wrote it.",
    HEADER_ORIGIN: "topic:partition:offset of the message that caused it; equal for a repeat.",
}


def contract_files() -> dict[str, str]:
    """File name -> content, ready to be written or compared."""
    files = {f"{topic.name}.schema.json": _text(message_schema(topic)) for topic in TOPICS}
    files["asyncapi.json"] = _text(asyncapi())
    return files


def message_schema(topic: Topic) -> dict[str, Any]:
    """JSON Schema (2020-12) of a topic's message."""
    schema = topic.message.model_json_schema(by_alias=True, mode="serialization")
    # Absent stands for unknown or default: only what pydantic refuses to do without is required.
    schema["required"] = topic.message.model_json_schema(by_alias=True, mode="validation").get("required", [])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{topic.name}.schema.json"} | schema


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0: a channel for each topic, a send operation for its writers, a receive operation for its readers."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic in TOPICS:
        name = topic.message.__name__
        messages[name] = {
            "name": name,
            "title": (topic.message.__doc__ or name).splitlines()[0],
            "contentType": "application/json",
            "headers": {"$ref": "#/components/schemas/headers"},
            "payload": {"$ref": f"./{topic.name}.schema.json"},
            "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
        }
        channels[topic.name] = {
            "address": topic.name,
            "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            "description": _kept(topic),
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "topicConfiguration": _configuration(topic),
                    "bindingVersion": "0.5.0",
                }
            },
        }
        for action, stages in (("send", topic.written_by), ("receive", topic.read_by)):
            operations[f"{action}-{topic.name}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "summary": f"{', '.join(stages)} {action}{'' if len(stages) > 1 else 's'} {topic.name}",
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Gigz topics",
            "version": VERSION,
            "license": {"name": "Apache-2.0"},
            "description": "A field may be added with a default; anything else is a new version beside the old one.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": {
                "headers": {
                    "type": "object",
                    "properties": {h: {"type": "string", "description": text} for h, text in _HEADERS.items()},
                }
            },
        },
    }


def _kept(topic: Topic) -> str:
    kept = "compacted" if topic.days is None else f"kept {topic.days} day{'s' if topic.days > 1 else ''}"
    users = "; partitioned by the user alone" if topic.of_users else ""
    return f"Key {topic.key}{users}; {kept}; messages to {topic.max_bytes} bytes."


def _configuration(topic: Topic) -> dict[str, Any]:
    config = topic.config
    numbers = {"retention.ms", "delete.retention.ms", "max.message.bytes"}
    said: dict[str, Any] = {name: int(config[name]) for name in sorted(numbers & config.keys())}
    said["cleanup.policy"] = [config["cleanup.policy"]]
    return said


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
