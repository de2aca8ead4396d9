"""Every page, composed."""

from litestar import Router

from api.pages import (
    bulk,
    decided,
    finding,
    friends,
    imports,
    inbox,
    journal,
    leaving,
    live,
    settings,
    show,
    signing,
    writing,
)


def routers(development: bool) -> list[Router]:
    """The way in, and the rooms of who is signed in. `development`: links of the terminal open them, too."""
    ways_in = [*signing.handlers, *leaving.of_nobody, *(signing.in_development if development else ())]
    return [
        Router("/", route_handlers=ways_in),
        Router(
            "/",
            route_handlers=[
                *friends.handlers,
                *imports.handlers,
                *settings.handlers,
                *leaving.handlers,
                *inbox.handlers,
                *live.handlers,
                *bulk.handlers,
                *decided.handlers,
                *journal.handlers,
                *show.handlers,
                *writing.handlers,
                *finding.handlers,
            ],
            opt={"credential": "cookie"},
        ),
    ]
