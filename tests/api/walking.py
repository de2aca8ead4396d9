"""Every route of an application, from its own table, ready to be called."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import httpx
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from pydantic import BaseModel

SOME = {"uuid": "6f1d3ce0-54fb-5a0c-9f6a-2f7c4be21d11", "int": "7", "path": "x"}
"""Of each type a value that names nothing; of others a word."""


@dataclass(frozen=True)
class Step:
    """One method of one route."""

    method: str
    template: str
    handler: HTTPRouteHandler
    types: Mapping[str, str]
    """Path parameter -> its type."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def credential(self) -> str | None:
        return self.handler.opt.get("credential")

    def path(self, given: Mapping[str, str] | None = None) -> str:
        """The template with these values, or with some that name nothing."""
        values = {name: (given or {}).get(name) or SOME.get(kind, "x") for name, kind in self.types.items()}
        return self.template.format(**values)

    def body(self) -> Any:
        """The first example of its body's model, as the OpenAPI document shows it; None: it has no body of JSON."""
        data = self.handler.parsed_fn_signature.parameters.get("data")
        told = (data.annotation, *get_args(data.annotation)) if data else ()  # what may be left out is `X | None`
        model = next((one for one in told if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if model is None:
            return None
        extra = model.model_config.get("json_schema_extra")
        assert isinstance(extra, dict) and extra.get("examples"), f"{self.name}: {model.__name__} has no example"
        examples: Any = extra["examples"]
        return examples[0]

    async def call(
        self, client: httpx.AsyncClient, headers: Mapping[str, str], given: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        body = more.pop("json", self.body())
        if body is not None and "content" not in more and "data" not in more and "files" not in more:
            more["json"] = body
        return await client.request(self.method, self.path(given), headers=headers, **more)


def steps(app: Litestar) -> Iterator[Step]:
    """The routes in their order; what answers to OPTIONS is the framework's own."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            types = {name: one.type.__name__.lower() for name, one in route.path_parameters.items()}
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    yield Step(method, route.path_format or "/", handler, types)
