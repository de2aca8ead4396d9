"""What fifty people do with the API, for locust: `tests.bench.api_load` starts it.

Each of locust's users is another of Gigz's users at every request, so that nobody meets the limits a minute; between
two requests a person thinks. Times are counted once all of them are there, and written to --times at the end.
"""

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from locust import HttpUser, between, events, task

COUNTED: dict[str, list[float]] = defaultdict(list)
FAILED: dict[str, list[str]] = defaultdict(list)
STATE: dict[str, Any] = {"counting": False}


@events.init_command_line_parser.add_listener
def _arguments(parser: Any) -> None:
    parser.add_argument("--known", required=True, help="JSON: users with tokens and ids, concerts, names")
    parser.add_argument("--bare", required=True, help="address of the bare route")
    parser.add_argument("--times", required=True, help="where the milliseconds of each route go, as JSON")
    parser.add_argument("--think", type=float, default=1.0, help="seconds between two requests, on the average")


@events.init.add_listener
def _begin(environment: Any, **_: Any) -> None:
    STATE["known"] = json.loads(Path(environment.parsed_options.known).read_text(encoding="utf-8"))


@events.spawning_complete.add_listener
def _all_there(**_: Any) -> None:
    STATE["counting"] = True


@events.request.add_listener
def _answered(name: str, response_time: float, exception: Any, **_: Any) -> None:
    if STATE["counting"]:
        COUNTED[name].append(response_time)
        if exception is not None:
            FAILED[name].append(str(exception)[:300])


@events.quitting.add_listener
def _end(environment: Any, **_: Any) -> None:
    told = {name: {"ms": COUNTED[name], "errors": FAILED.get(name, [])} for name in sorted(COUNTED)}
    Path(environment.parsed_options.times).write_text(json.dumps(told), encoding="utf-8")


class Person(HttpUser):
    """Reads more than it decides."""

    def wait_time(self) -> float:
        think = self.environment.parsed_options.think
        return float(between(0.5 * think, 1.5 * think)(self))

    def on_start(self) -> None:
        self.dice = Random(uuid4().hex)
        self.known = STATE["known"]
        self.users = list(self.known["users"])
        self.client.trust_env = False

    def ask(self, method: str, name: str, path: str, expected: tuple[int, ...] = (200,), **more: Any) -> Any:
        """One request as somebody; the answer's JSON, None where it is not what was expected."""
        user = more.pop("user", None) or self.dice.choice(self.users)
        headers = {"Authorization": f"Bearer {self.known['users'][user]['token']}"} | more.pop("headers", {})
        with self.client.request(
            method, path, name=name, headers=headers, catch_response=True, timeout=30, **more
        ) as answer:
            if answer.status_code not in expected:
                answer.failure(f"{answer.status_code} {answer.text[:200]}")
                return None
            answer.success()
            return answer.json() if answer.status_code < 400 else None

    @task(20)
    def the_inbox(self) -> None:
        user = self.dice.choice(self.users)
        page = self.ask("GET", "GET /v1/suggestions", "/v1/suggestions", user=user)
        if page and page["meta"]["next_cursor"] and self.dice.random() < 0.3:
            cursor = {"cursor": page["meta"]["next_cursor"]}
            self.ask("GET", "GET /v1/suggestions (next page)", "/v1/suggestions", user=user, params=cursor)

    @task(6)
    def the_inbox_filtered(self) -> None:
        params = {"band": "sure", "state": "all"}
        self.ask("GET", "GET /v1/suggestions (band, state)", "/v1/suggestions", params=params)

    @task(12)
    def a_decision(self) -> None:
        """And its undo, so that what can be decided stays as much as it is."""
        user = self.dice.choice(self.users)
        if not self.known["users"][user]["open"]:
            return
        one = self.dice.choice(self.known["users"][user]["open"])
        verb = self.dice.choice(("confirm", "dismiss"))
        name = f"POST /v1/suggestions/{{id}}/{verb}"
        # Two of locust's users may be the same of Gigz's: then one is told the decision of the other.
        said = self.ask(
            "POST",
            name,
            f"/v1/suggestions/{one}/{verb}",
            (200, 409),
            user=user,
            headers={"Idempotency-Key": uuid4().hex},
        )
        if said:
            name = "POST /v1/suggestions/{id}/undo"
            self.ask("POST", name, f"/v1/suggestions/{one}/undo", (200, 409), user=user)

    @task(12)
    def the_journal(self) -> None:
        self.ask("GET", "GET /v1/journal", "/v1/journal")

    @task(2)
    def a_show_for_the_journal(self) -> None:
        show = {"artist": "The Paper Kites", "night": "2011-05-06", "city": f"Town {self.dice.randrange(50)}"}
        self.ask("POST", "POST /v1/journal", "/v1/journal", (201,), json=show)

    @task(3)
    def lines_of_history(self) -> None:
        lines = {"entries": [{"artist": self.dice.choice(self.known["artists"]), "date": "1999"}]}
        self.ask("POST", "POST /v1/history", "/v1/history", (202,), json=lines)

    @task(12)
    def a_concert(self) -> None:
        one = self.dice.choice(self.known["concerts"])
        self.ask("GET", "GET /v1/concerts/{id}", f"/v1/concerts/{one}")

    @task(10)
    def a_search(self) -> None:
        name = self.dice.choice(self.known["artists"])
        typed = name[:2] + name[3:] if self.dice.random() < 0.3 and len(name) > 6 else name
        self.ask("GET", "GET /v1/search", "/v1/search", params={"q": typed})

    @task(3)
    def a_search_for_artists(self) -> None:
        words = self.dice.choice(self.known["artists"]).split()[0]
        self.ask("GET", "GET /v1/search/artists", "/v1/search/artists", params={"q": words})

    @task(4)
    def the_figures(self) -> None:
        self.ask("GET", "GET /v1/journal/stats", "/v1/journal/stats")

    @task(3)
    def an_artists_history(self) -> None:
        key = self.dice.choice(self.known["artist_keys"])
        self.ask("GET", "GET /v1/artists/{id}/history", f"/v1/artists/{key}/history")

    @task(2)
    def a_venues_history(self) -> None:
        one = self.dice.choice(self.known["venues"])
        self.ask("GET", "GET /v1/venues/{id}/history", f"/v1/venues/{one}/history")

    @task(4)
    def what_is_asked(self) -> None:
        self.ask("GET", "GET /v1/preferences", "/v1/preferences")

    @task(12)
    def the_bare_route(self) -> None:
        """The same row as GET /v1/concerts/{id} reads, by nothing but Litestar and psycopg, in a process beside."""
        one = self.dice.choice(self.known["concerts"])
        self.ask("GET", "bare", f"{self.environment.parsed_options.bare}/bare/{one}")
