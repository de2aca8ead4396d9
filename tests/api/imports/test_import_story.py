"""One history from its file to what was found for it and back, on engines of its own: Kafka, match and all."""

import asyncio
import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from api.tokens import issue_token
from deploy.feed import feed
from deploy.local import workers
from deploy.local.demo import run
from deploy.settings import Settings
from tests.integration.test_whole import own_stack

pytestmark = [pytest.mark.stack, pytest.mark.data, pytest.mark.long, pytest.mark.timeout(600)]
WORKERS = (*workers.WORKERS, workers.API)
KNOWN = 200
"""Rows of the history that a source tells of as well."""


def listings(kept: Path, to: Path) -> Path:
    """The first shows of the history, as a source lists them."""
    with kept.open(encoding="utf-8", newline="") as file, to.open("w", encoding="utf-8") as out:
        for row in list(csv.DictReader(file))[:KNOWN]:
            told = {"source": "setlistfm", "source_id": row["SetID"], "url": row["Link"], "artist": row["Artist"]}
            told |= {"date": row["Date"], "venue": row["Venue"], "city": row["City"]}
            out.write(json.dumps(told | {"region": row["Province"]}) + "\n")
    return to


class User:
    """Somebody with a token."""

    def __init__(self, settings: Settings, address: str) -> None:
        token = issue_token(settings, "importer", datetime.now(UTC))
        self.client = httpx.AsyncClient(
            base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    async def post(self, path: str, **more: Any) -> dict[str, Any]:
        answer = await self.client.post(f"/v1/imports{path}", **more)
        assert answer.status_code in (200, 201), answer.text
        return await self.rested(answer.json()["data"])

    async def without_region(self, view: dict[str, Any]) -> dict[str, Any]:
        """A correction: one column is left out."""
        answer = await self.client.patch(f"/v1/imports/{view['import_id']}", json={"mapping": {"region": []}})
        assert answer.status_code == 200, answer.text
        return await self.rested(answer.json()["data"])

    async def rested(self, view: dict[str, Any]) -> dict[str, Any]:
        """The import once nobody is at it."""
        while view["state"] in ("reading", "applying", "undoing"):
            await asyncio.sleep(0.2)
            view = (await self.client.get(f"/v1/imports/{view['import_id']}")).json()["data"]
        return view

    async def entries(self) -> int:
        """Entries that have a set of suggestions, an empty one or not."""
        found, cursor = 0, None
        while True:
            params = {"state": "all", "take": 100} | ({"cursor": cursor} if cursor else {})
            page = (await self.client.get("/v1/suggestions", params=params)).json()
            found += len(page["data"])
            cursor = page["meta"]["next_cursor"]
            if cursor is None:
                return found


async def tell(settings: Settings, body: bytes, told: Path) -> None:
    step = run.Steps(Console(quiet=True))
    address = await run.start_all(settings, step)
    await feed(settings, [told], "raw-setlist")
    await run.stream(settings, step, "the listings", WORKERS)
    user = User(settings, address)

    view = await user.post("", params={"name": "attended.csv"}, content=body)
    assert view["rows"]["understood"] == 415 and view["dry_run"]["parts"][0]["format"] == "setlistfm"
    columns = {one["field"] for one in (await user.without_region(view))["dry_run"]["parts"][0]["columns"]}
    assert "region" not in columns and "artist" in columns
    report = await user.post(f"/{view['import_id']}/apply")
    assert report["entries"]["added"] == 415
    await run.stream(settings, step, "the history", WORKERS)
    report = (await user.client.get(f"/v1/imports/{view['import_id']}")).json()["data"]
    answers = report["answers"]
    assert answers["waiting"] == 0 and sum(answers.values()) == 415
    assert answers["found"] + answers["to_decide"] >= 0.95 * KNOWN, answers
    print(answers)

    again = await user.post("", params={"name": "attended.csv"}, content=body)
    await user.without_region(again)
    assert (await user.post(f"/{again['import_id']}/apply"))["entries"]["unchanged"] == 415
    corrected = body.replace(b"102.1 the Edge", b"The Edge 102")
    fixed = await user.post("", params={"name": "attended.csv"}, content=corrected)
    await user.without_region(fixed)
    report = await user.post(f"/{fixed['import_id']}/apply")
    assert 0 < report["entries"]["changed"] < 20 and report["entries"]["added"] == 0
    await run.stream(settings, step, "the corrected history", WORKERS)
    assert await user.entries() == 415

    best = (await user.client.get("/v1/suggestions", params={"take": 1})).json()["data"][0]["suggestions"][0]
    confirmed = await user.client.post(f"/v1/suggestions/{best['suggestion_id']}/confirm")
    assert confirmed.status_code in (200, 201)
    for one in (fixed, view):
        undone = await user.post(f"/{one['import_id']}/undo")
        assert undone["state"] == "undone"
    assert undone["entries"]["withdrawn"] == 415 and undone["entries"]["decided"] == 1
    await run.stream(settings, step, "what was undone", WORKERS)
    assert await user.entries() <= 50, "the companions of the confirmed show are left, and no entry of the import"
    journal = (await user.client.get("/v1/journal")).json()
    assert len(journal["data"]) == 1, "a confirmed show stays in the journal"
    await user.client.aclose()


def test_a_kept_history_is_found_corrected_and_undone(data_dir: Path, tmp_path: Path) -> None:
    kept = data_dir / "histories" / "as_kept" / "d_setlistfm_export.csv"
    told = listings(kept, tmp_path / "listings.jsonl")
    with own_stack(tmp_path / "home") as settings:
        asyncio.run(tell(settings, kept.read_bytes(), told))
