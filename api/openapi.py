"""The OpenAPI document, with the examples that the models carry: the framework leaves them out."""

from collections.abc import Iterator
from typing import Any

from litestar.openapi.plugins import JsonRenderPlugin
from pydantic import BaseModel

from api.errors import AnyRequest


class Document(JsonRenderPlugin):
    """JSON at /schema; other renderers load scripts from elsewhere."""

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        """The document as it is sent."""
        return super().render(request, with_examples(openapi_schema))


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The same document: each schema of a model that has examples has them."""
    schemas = document.get("components", {}).get("schemas", {})
    for model in _models(BaseModel):
        extra = model.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and "examples" in extra and model.__name__ in schemas:
            schemas[model.__name__]["examples"] = extra["examples"]
    return document


def _models(of: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in of.__subclasses__():
        if model.__module__.startswith("api."):
            yield model
        yield from _models(model)
