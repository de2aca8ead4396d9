"""/ops: what operators see of the spiders and do with them. Plain HTML, no script; docs/spiders/operators.md.

Reading needs the role, acting a form of the same session besides (CSRF), and starting and stopping a reason. A page
that is read while something runs asks for itself again every few seconds; pages with a form never do.
"""

import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, URLEncodedBody
from litestar.response import Redirect, Template

from api import operating
from api.answers import plain
from api.errors import AnyRequest, Detail, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from api.operating import KINDS
from api.operations import Operations, SpiderFacts
from api.pages.frame import session_cookie
from api.services import COOKIE, Caller, Services
from api.tokens import DEVELOPMENT, OPERATOR, form_secret, form_token
from deploy import replay as replaying
from deploy.settings import SettingsError
from schemas.rejection import Reason
from schemas.tables import RunState, WatchedBy

REFRESH_S = 10
"""How often the page of a live run is read anew: long enough to reach a button by keyboard in between."""
PAGE = 50
SAMPLES = 20
MOST_REPLAYED = 20_000
"""Messages that a page sends again while a browser waits; more is for `gigz replay`."""
DONE = {
    "started": "The run is queued.",
    "stopping": "The run was told to stop.",
    "accepted": "Accepted: baselines begin with this run, and what it withheld happens at the next.",
    "saved": "Saved.",
    "paused": "Paused.",
    "resumed": "It goes on.",
    "removed": "Removed.",
    "replayed": "Sent again.",
}
Form = URLEncodedBody[dict[str, str]]
Done = Annotated[str, QueryParameter(name="done", max_length=20)]


# -- reading ----------------------------------------------------------------------------------------------------------


@get("/", include_in_schema=False)
async def overview(request: AnyRequest, services: NamedDependency[Services], done: Done = "") -> Template:
    """Every spider: when it runs next, how its last runs went."""
    known = {one.name: one for one in await _spiders(services)}
    async with services.engine.connect() as connection:
        schedules = await operating.schedules(connection)
        names = {*known, *(row.spider for row in schedules)} or await operating.spiders_seen(connection)
        last = await operating.last_runs(connection, names)
        going = await operating.live_runs(connection)
        alerts = await operating.alerts(connection, 5, open_only=True)
    by_spider: dict[str, list[Any]] = {}
    for row in schedules:
        by_spider.setdefault(row.spider, []).append(row)
    live: dict[str, list[operating.Brief]] = {}
    for one in going:
        live.setdefault(one.spider, []).append(one)
    spiders = [
        {
            "name": name,
            "facts": known.get(name),
            "last": next(iter([*live.get(name, []), *last.get(name, [])]), None),
            "live": live.get(name, []),
            "chart": operating.chart(last.get(name, [])),
            "schedules": by_spider.get(name, []),
            "next": next((row for row in by_spider.get(name, []) if row.next_at), None),
        }
        for name in sorted(last, key=lambda name: _urgency(name, last, by_spider))
    ]
    context = {"spiders": spiders, "alerts": alerts, "asleep": await _asleep(services)}
    return _page(request, services, "ops.html", context, done=done)


@get("/spiders/{name:str}", include_in_schema=False)
async def spider(request: AnyRequest, services: NamedDependency[Services], name: FromPath[str]) -> Template:
    """One spider: its schedules and runs."""
    facts = await _facts(services, name)
    async with services.engine.connect() as connection:
        schedules = [row for row in await operating.schedules(connection) if row.spider == name]
        runs = (await operating.last_runs(connection, [name], PAGE))[name]
        live = await operating.live_runs(connection, name)
    if facts is None and not runs and not schedules:
        raise NotFoundError("spider", f"There is no spider {name}.")
    context = {"name": name, "facts": facts, "schedules": schedules, "runs": runs, "chart": operating.chart(runs)}
    context["live"] = live
    return _page(request, services, "ops_spider.html", context)


@get("/runs", include_in_schema=False)
async def runs(
    request: AnyRequest,
    services: NamedDependency[Services],
    spider: Annotated[str, QueryParameter(name="spider", max_length=200)] = "",
    kind: Annotated[str, QueryParameter(name="state", max_length=20)] = "",
    before: FromQuery[datetime | None] = None,
) -> Template:
    """Runs, newest first."""
    if kind and kind not in KINDS:
        raise InvalidError("The request is not valid.", [Detail(field="state", message=f"one of {', '.join(KINDS)}")])
    plain("spider", spider)
    async with services.engine.connect() as connection:
        found = await operating.runs(connection, spider, kind, PAGE + 1, before)
        names = await operating.spiders_seen(connection)
    chosen = {"spider": spider, "state": kind}
    more = found[PAGE - 1].queued_at if len(found) > PAGE else None
    context = {
        "runs": found[:PAGE],
        "names": sorted(names),
        "kinds": KINDS,
        "chosen": chosen,
        "next": more and _address("/ops/runs", chosen | {"before": more.isoformat()}),
    }
    return _page(request, services, "ops_runs.html", context)


@get("/runs/{run_id:uuid}", include_in_schema=False)
async def run(
    request: AnyRequest,
    services: NamedDependency[Services],
    run_id: FromPath[UUID],
    done: Done = "",
    live: FromQuery[Literal["", "off"]] = "",
) -> Template:
    """One run: counts, findings, errors, coverage, requests, log."""
    row, log = await _run(services, run_id)
    is_live = row.state in operating.LIVE
    context = {
        "run": row,
        "kind": operating.kind_of(row.state, row.suspect),
        "live": is_live,
        "refresh": REFRESH_S if is_live and not live else None,
        "log": log,
        "figures": row.figures,
        "judged": row.figures.get("judged", {}),
        "acceptable": row.suspect and row.state is RunState.FINISHED and not row.figures.get("accepted"),
    }
    return _page(request, services, "ops_run.html", context, done=done)


@get("/schedules", include_in_schema=False)
async def schedules(request: AnyRequest, services: NamedDependency[Services], done: Done = "") -> Template:
    """Every schedule."""
    async with services.engine.connect() as connection:
        rows = await operating.schedules(connection)
    return _page(request, services, "ops_schedules.html", {"schedules": rows}, done=done)


@get("/alerts", include_in_schema=False)
async def alerts(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What operators were told, and whether it arrived."""
    async with services.engine.connect() as connection:
        rows = await operating.alerts(connection, 100)
    hook = bool(services.settings.operators_webhook)
    return _page(request, services, "ops_alerts.html", {"alerts": rows, "hook": hook})


@get("/wanted", include_in_schema=False)
async def wanted(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What users' entries ask for and no known concert answers; nothing about the users."""
    async with services.engine.connect() as connection:
        rows = await operating.wanted(connection, 200)
    return _page(request, services, "ops_wanted.html", {"wanted": rows})


@get("/rejections", include_in_schema=False)
async def rejections(
    request: AnyRequest,
    services: NamedDependency[Services],
    reason: FromQuery[str] = "",
    stage: FromQuery[str] = "",
    source: FromQuery[str] = "",
    since: FromQuery[str] = "",
    done: Done = "",
    count: FromQuery[int] = 0,
) -> Template:
    """What could not be used, by reason, with samples."""
    chosen = {"reason": reason, "stage": stage, "source": source, "since": since}
    filters = _filters(services, chosen)
    if done == "replayed" and not await _has_replayed(request, services, count):
        done = ""  # an address that somebody wrote
    context = {
        "groups": await replaying.groups(services.engine, filters),
        "samples": await replaying.samples(services.engine, filters, SAMPLES),
        "reasons": [one.value for one in Reason],
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "replay": _address("/ops/rejections/replay", chosen),
        "count": count,
    }
    return _page(request, services, "ops_rejections.html", context, done=done)


@get("/rejections/replay", include_in_schema=False)
async def plan_replay(
    request: AnyRequest,
    services: NamedDependency[Services],
    reason: FromQuery[str] = "",
    stage: FromQuery[str] = "",
    source: FromQuery[str] = "",
    since: FromQuery[str] = "",
) -> Template:
    """The dry run: how many would be sent where, and what cannot be."""
    return await _replay_page(request, services, {"reason": reason, "stage": stage, "source": source, "since": since})


# -- forms ------------------------------------------------------------------------------------------------------------


@get("/spiders/{name:str}/start", include_in_schema=False)
async def start_form(request: AnyRequest, services: NamedDependency[Services], name: FromPath[str]) -> Template:
    """Where a run is asked for."""
    return await _start_page(request, services, name, {})


@post("/spiders/{name:str}/start", include_in_schema=False)
async def start(
    request: AnyRequest, services: NamedDependency[Services], name: FromPath[str], data: Form
) -> Template | Redirect:
    """Queue a run."""
    who, operations = _acting(request, services, data)
    try:
        arguments, why = _arguments(data), _reason(data)
        run_id = await operations.start(name, arguments, who, why)
    except SettingsError as error:
        return await _start_page(request, services, name, data, str(error))
    return Redirect(f"/ops/runs/{run_id}?done=started", status_code=303)


@get("/runs/{run_id:uuid}/stop", include_in_schema=False)
async def stop_form(request: AnyRequest, services: NamedDependency[Services], run_id: FromPath[UUID]) -> Template:
    """Where a run is stopped."""
    return await _reason_page(request, services, run_id, "stop")


@post("/runs/{run_id:uuid}/stop", include_in_schema=False)
async def stop(
    request: AnyRequest, services: NamedDependency[Services], run_id: FromPath[UUID], data: Form
) -> Template | Redirect:
    """Tell a run to end in order."""
    who, operations = _acting(request, services, data)
    try:
        await operations.stop(run_id, who, _reason(data))
    except SettingsError as error:
        return await _reason_page(request, services, run_id, "stop", data, str(error))
    return Redirect(f"/ops/runs/{run_id}?done=stopping", status_code=303)


@get("/runs/{run_id:uuid}/accept", include_in_schema=False)
async def accept_form(request: AnyRequest, services: NamedDependency[Services], run_id: FromPath[UUID]) -> Template:
    """Where a suspect run is made the new normal."""
    return await _reason_page(request, services, run_id, "accept")


@post("/runs/{run_id:uuid}/accept", include_in_schema=False)
async def accept(
    request: AnyRequest, services: NamedDependency[Services], run_id: FromPath[UUID], data: Form
) -> Template | Redirect:
    """Make a suspect run the new normal."""
    who, operations = _acting(request, services, data)
    try:
        await operations.accept(run_id, who, _reason(data))
    except SettingsError as error:
        return await _reason_page(request, services, run_id, "accept", data, str(error))
    return Redirect(f"/ops/runs/{run_id}?done=accepted", status_code=303)


@get("/schedules/new", include_in_schema=False)
async def new_schedule(
    request: AnyRequest,
    services: NamedDependency[Services],
    spider: Annotated[str, QueryParameter(name="spider", max_length=200)] = "",
) -> Template:
    """Where a schedule is written."""
    return await _schedule_page(request, services, "", {"spider": spider, "name": spider})


@post("/schedules/new", include_in_schema=False)
async def add_schedule(request: AnyRequest, services: NamedDependency[Services], data: Form) -> Template | Redirect:
    """Add a schedule."""
    return await _put(request, services, "", data)


@get("/schedules/{name:str}", include_in_schema=False)
async def edit_schedule(
    request: AnyRequest, services: NamedDependency[Services], name: FromPath[str], done: Done = ""
) -> Template:
    """One schedule: change it, let it rest, remove it."""
    return await _schedule_page(request, services, name, {}, done=done)


@post("/schedules/{name:str}", include_in_schema=False)
async def change_schedule(
    request: AnyRequest, services: NamedDependency[Services], name: FromPath[str], data: Form
) -> Template | Redirect:
    """Change a schedule."""
    return await _put(request, services, name, data)


@post("/schedules/{name:str}/{verb:str}", include_in_schema=False)
async def act_on_schedule(
    request: AnyRequest,
    services: NamedDependency[Services],
    name: FromPath[str],
    verb: FromPath[str],
    data: Form,
) -> Template | Redirect:
    """Pause, resume or remove a schedule."""
    who, operations = _acting(request, services, data)
    why = data.get("why", "").strip() or None
    if verb not in {"pause", "resume", "remove"}:
        raise NotFoundError("route", f"There is nothing at {request.url.path}.")
    try:
        if verb == "remove":
            await operations.remove(name, who, why)
            return Redirect("/ops/schedules?done=removed", status_code=303)
        await operations.pause(name, verb == "pause", who, why)
    except SettingsError as error:
        return await _schedule_page(request, services, name, {}, str(error))
    done = "paused" if verb == "pause" else "resumed"
    return Redirect(f"/ops/schedules/{quote(name, safe='')}?done={done}", status_code=303)


@post("/rejections/replay", include_in_schema=False)
async def replay(request: AnyRequest, services: NamedDependency[Services], data: Form) -> Template | Redirect:
    """Send the originals again."""
    who, _ = _acting(request, services, data)
    chosen = {name: data.get(name, "") for name in ("reason", "stage", "source", "since")}
    filters = _filters(services, chosen, data.get("until", ""))
    try:
        why = _reason(data)
        if (until := filters.until) is None or not data.get("count", "").isdecimal():
            raise SettingsError("It does not say what was shown. Remedy: look at what is below, and confirm it.")
        planned = await replaying.replay(services.settings, services.engine, filters, dry=True)
        if planned.count != int(data["count"]):
            raise SettingsError(
                f"Not the same as was shown any more: {planned.count:,} of the {int(data['count']):,} until "
                f"{until:%Y-%m-%d %H:%M:%S} UTC can be sent, and nothing was. "
                "Remedy: look at what is below, and confirm it."
            )
        if planned.count > MOST_REPLAYED:
            raise SettingsError(f"{planned.count:,} messages are too many for a page. Remedy: `gigz replay`.")
        done = await replaying.replay(
            services.settings, services.engine, filters, who=who, why=why, at=services.clock()
        )
    except SettingsError as error:
        return await _replay_page(request, services, chosen, data, str(error))
    return Redirect(_address("/ops/rejections", {"done": "replayed", "count": str(done.count)}), status_code=303)


# -- what they share --------------------------------------------------------------------------------------------------


def _page(
    request: AnyRequest,
    services: Services,
    template: str,
    context: dict[str, Any],
    *,
    done: str = "",
    problem: str = "",
) -> Template:
    caller: Caller = request.user
    session = caller.claims.session or caller.claims.subject
    told = {
        "now": services.clock(),
        "done": DONE.get(done, ""),
        "problem": problem,
        "can_act": services.operations is not None,
        "form_token": form_token(form_secret(services.settings), session),
        "operator": _who(request),
        "path": request.url.path,
    }
    # Renewed with every page read, where a cookie signs in.
    cookies = [session_cookie(request, services, caller.user, caller.claims)] if COOKIE in request.cookies else []
    return Template(template, context=told | context, cookies=cookies, status_code=400 if problem else 200)


def _who(request: AnyRequest) -> str:
    caller: Caller = request.user
    return caller.claims.subject.removeprefix(DEVELOPMENT)


def _acting(request: AnyRequest, services: Services, data: dict[str, str]) -> tuple[str, Operations]:
    """Who acts, and through what. ForbiddenError for a form from elsewhere."""
    caller: Caller = request.user
    session = caller.claims.session or caller.claims.subject
    expected = form_token(form_secret(services.settings), session)
    if not hmac.compare_digest(data.get("form_token", "").encode(), expected.encode()):
        raise ForbiddenError("This form is from another session. Open the page again.")
    if services.operations is None:
        raise UnavailableError("This process was started without spiders; /ops is for reading only here.")
    for name, value in data.items():
        plain(name, value)
    return _who(request), services.operations


def _reason(data: dict[str, str]) -> str:
    why = data.get("why", "").strip()
    if not why:
        raise SettingsError("A reason is needed. Remedy: say why, in a few words; it is kept with your name.")
    return why[:1_000]


def _arguments(data: dict[str, str]) -> dict[str, str]:
    try:
        return operating.arguments_of(data.get("arguments", ""))
    except ValueError as error:
        raise SettingsError(f"arguments: {str(error)!r} is not name=value. Remedy: one on each line.") from error


async def _spiders(services: Services) -> list[SpiderFacts]:
    return list(await services.operations.spiders()) if services.operations else []


async def _facts(services: Services, name: str) -> SpiderFacts | None:
    return next((one for one in await _spiders(services) if one.name == name), None)


async def _asleep(services: Services) -> bool:
    return services.operations is not None and not await services.operations.scheduler_is_there()


async def _run(services: Services, run_id: UUID) -> tuple[Any, Any]:
    async with services.engine.connect() as connection:
        row = await operating.run(connection, run_id)
        if row is None:
            raise NotFoundError("run", f"There is no run {run_id}.")
        return row, await operating.log_of(connection, WatchedBy.RUN, str(run_id))


async def _start_page(
    request: AnyRequest, services: Services, name: str, data: dict[str, str], problem: str = ""
) -> Template:
    facts = await _facts(services, name)
    if facts is None:
        raise NotFoundError("spider", f"There is no spider {name}.")
    warnings = services.operations.warnings(name) if services.operations else []
    context = {"facts": facts, "given": data, "warnings": warnings, "asleep": await _asleep(services)}
    return _page(request, services, "ops_start.html", context, problem=problem)


async def _reason_page(
    request: AnyRequest,
    services: Services,
    run_id: UUID,
    verb: str,
    data: dict[str, str] | None = None,
    problem: str = "",
) -> Template:
    row, _ = await _run(services, run_id)
    kind = operating.kind_of(row.state, row.suspect)
    context = {"run": row, "kind": kind, "verb": verb, "given": data or {}}
    return _page(request, services, "ops_reason.html", context, problem=problem)


async def _schedule_page(
    request: AnyRequest,
    services: Services,
    name: str,
    given: dict[str, str],
    problem: str = "",
    done: str = "",
) -> Template:
    row, log = None, list[Any]()
    if name:
        async with services.engine.connect() as connection:
            row = next(iter(await operating.schedules(connection, name)), None)
            log = list(await operating.log_of(connection, WatchedBy.SCHEDULE, name))
        if row is None:
            raise NotFoundError("schedule", f"There is no schedule {name}.")
        kept = {
            "spider": row.spider,
            "cron": row.cron,
            "tz": row.tz,
            "timeout": time_limit(row.timeout_s),
            "arguments": operating.arguments_told(row.arguments),
        }
        given = kept | given
    context = {"schedule": row, "log": log, "given": given, "spiders": await _spiders(services)}
    return _page(request, services, "ops_schedule.html", context, problem=problem, done=done)


async def _put(request: AnyRequest, services: Services, name: str, data: dict[str, str]) -> Template | Redirect:
    who, operations = _acting(request, services, data)
    try:
        timeout = data.get("timeout", "").strip()
        named = name or data.get("name", "").strip()
        await operations.put_schedule(
            named,
            data.get("spider", ""),
            data.get("cron", ""),
            data.get("tz", "").strip() or "UTC",
            _arguments(data),
            operations.seconds_of(timeout) if timeout else None,
            who,
            data.get("why", "").strip() or None,
            new=not name,
        )
    except SettingsError as error:
        return await _schedule_page(request, services, name, data, str(error))
    return Redirect(f"/ops/schedules/{quote(named, safe='')}?done=saved", status_code=303)


async def _replay_page(
    request: AnyRequest,
    services: Services,
    chosen: dict[str, str],
    data: dict[str, str] | None = None,
    problem: str = "",
) -> Template:
    filters = _filters(services, chosen)
    try:
        planned = await replaying.replay(services.settings, services.engine, filters, dry=True)
    except SettingsError as error:  # Kafka is away
        planned, problem = replaying.Replay(), problem or str(error)
    context = {
        "filters": str(filters),
        # "24h ago" is another time when the form arrives.
        "chosen": chosen | {"since": filters.since.isoformat() if filters.since else ""},
        "planned": planned,
        "given": data or {},
        "back": _address("/ops/rejections", chosen),
        "too_many": planned.count > MOST_REPLAYED,
    }
    return _page(request, services, "ops_replay.html", context, problem=problem)


async def _has_replayed(request: AnyRequest, services: Services, count: int) -> bool:
    """Whether this operator just did: by the log, whatever the address says."""
    async with services.engine.connect() as connection:
        line = await operating.last_done(connection, WatchedBy.REJECTION, _who(request))
    return (
        line is not None
        and line.after == replaying.replayed(count)
        and services.clock() - line.at < timedelta(minutes=10)
    )


def _filters(services: Services, chosen: dict[str, str], until: str = "") -> replaying.Filters:
    for name, value in (chosen | {"until": until}).items():
        plain(name, value)
    try:
        filters = replaying.filters_of(**chosen, now=services.clock())
        return replace(filters, until=replaying.filters_of(since=until, now=services.clock()).since)
    except SettingsError as error:
        raise InvalidError("The request is not valid.", [Detail(field="filter", message=str(error))]) from error


def _address(path: str, query: dict[str, str]) -> str:
    told = {name: value for name, value in query.items() if value}
    return path + (f"?{urlencode(told)}" if told else "")


def _urgency(name: str, last: dict[str, list[operating.Brief]], scheduled: dict[str, list[Any]]) -> tuple[Any, ...]:
    """What wants to be looked at first: bad, then live, then scheduled, then the others, by name."""
    runs = last[name]
    ended = next((run for run in runs if not run.live), None)
    bad = ended is not None and (ended.kind in {"failed", "lost"} or (ended.kind == "suspect" and not ended.accepted))
    return (not bad, not any(run.live for run in runs), name not in scheduled, not runs, name)


# -- words ------------------------------------------------------------------------------------------------------------


def ago(moment: datetime, now: datetime) -> str:
    """'3 min ago', 'in 2 h', 'now'."""
    seconds = (now - moment).total_seconds()
    size = abs(seconds)
    if size < 10:
        return "now"
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if size >= unit:
            told = f"{size / unit:.0f} {name}"
            return f"{told} ago" if seconds > 0 else f"in {told}"
    return "now"


def lasting(seconds: float) -> str:
    """'4.2 s', '3 min 20 s', '2 h 5 min'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def time_limit(seconds: int | None) -> str:
    """As it is typed: '2h', '1h30m', '90s'; none: nothing."""
    told, left = "", seconds or 0
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        number, left = divmod(left, unit)
        told += f"{number}{name}" if number else ""
    return told


def size(count: float) -> str:
    """Bytes: '12.3 MB'."""
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} GB"


def share(value: float) -> str:
    """'93.4 %'; never all or nothing where it is not."""
    if 0 < value < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < value < 1 else f"{100 * value:.1f} %".replace(".0 %", " %")


def figure_told(rule: str, value: float | None) -> str:
    """A figure of a monitor: items as a number, latency in seconds, everything else as a share."""
    if value is None:
        return "—"
    if rule.startswith("items"):
        return f"{value:,.4g}" if value < 1_000 else f"{value:,.0f}"
    return f"{value:.2f} s" if rule == "latency" else share(value)


HELPERS: dict[str, Any] = {
    "ago": ago,
    "utc": lambda at: at.astimezone(UTC),  # a connection may have another zone
    "lasting": lasting,
    "size": size,
    "share": share,
    "figure_told": figure_told,
    "quote": lambda text: quote(text, safe=""),
    "arguments_told": operating.arguments_told,
    "kinds": KINDS,
}


def router() -> Router:
    """Every page of /ops."""
    handlers: list[Any] = [overview, spider, runs, run, schedules, alerts, wanted, rejections, plan_replay]
    handlers += [start_form, start, stop_form, stop, accept_form, accept, new_schedule, add_schedule, edit_schedule]
    handlers += [change_schedule, act_on_schedule, replay]
    return Router("/ops", route_handlers=handlers, opt={"credential": "either", "role": OPERATOR})
