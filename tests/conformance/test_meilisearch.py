"""What Gigz asks of Meilisearch, through the ordinary client.

Runs against the server that GIGZ_MEILISEARCH_URL and GIGZ_MEILISEARCH_KEY name, else against the local front, which it
starts in a temporary folder. Index names have a random prefix and are deleted afterwards. Tests that take the
`front` fixture are about the front alone and are skipped on a real server.
"""

import contextlib
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import meilisearch
import pytest
import requests
from meilisearch.errors import MeilisearchApiError
from meilisearch.index import Index

from deploy.settings import load

pytestmark = pytest.mark.stack

ROOT = Path(__file__).resolve().parents[2]
FRONT_HEADER = "X-Gigz-Front"
PATIENCE_MS = 30_000


# -- servers -----------------------------------------------------------------------------------------------------------


@dataclass
class Front:
    """The local front as a process over one folder."""

    folder: Path
    key: str | None = None
    process: subprocess.Popen[str] = field(init=False)
    url: str = field(init=False)

    def start(self) -> "Front":
        command = [sys.executable, "-m", "deploy.local.meilisearch_front", "--port", "0", "--data", str(self.folder)]
        command += ["--key", self.key] if self.key else []
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        return self

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(with_signal)
        self.process.communicate(timeout=30)

    @property
    def client(self) -> meilisearch.Client:
        return meilisearch.Client(self.url, self.key)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str | None]]:
    """Address and key."""
    settings = load()
    if settings.meilisearch_url:
        yield settings.meilisearch_url, settings.meilisearch_key.get_secret_value() or None
        return
    front = Front(tmp_path_factory.mktemp("meilisearch")).start()
    yield front.url, None
    front.end()


@pytest.fixture(scope="module")
def client(server: tuple[str, str | None]) -> meilisearch.Client:
    return meilisearch.Client(*server)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    """Starts fronts of a test's own."""
    if load().meilisearch_url:
        pytest.skip("about the local front alone")
    started: list[Front] = []

    def start(name: str = "data", key: str | None = None) -> Front:
        started.append(Front(tmp_path / name, key).start())
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()


def done(client: meilisearch.Client, info: Any) -> Any:
    """Wait for a task that must succeed."""
    task = client.wait_for_task(info.task_uid, PATIENCE_MS, 10)
    assert task.status == "succeeded", task.error
    return task


def failed(client: meilisearch.Client, info: Any) -> Any:
    """Wait for a task that must fail; its error's code."""
    task = client.wait_for_task(info.task_uid, PATIENCE_MS, 10)
    assert task.status == "failed", task
    assert task.error is not None
    assert set(task.error) >= {"message", "code", "type", "link"}
    return task.error["code"]


@contextlib.contextmanager
def refused(code: str, status: int = 400) -> Iterator[None]:
    """The call must be refused with that code."""
    with pytest.raises(MeilisearchApiError) as caught:
        yield
    assert (caught.value.code, caught.value.status_code) == (code, status)


@pytest.fixture(scope="module")
def name_index(client: meilisearch.Client) -> Iterator[Callable[[], str]]:
    """New index names; the indexes are deleted at the end."""
    names: list[str] = []

    def name() -> str:
        names.append(f"gigz-test-{secrets.token_hex(6)}")
        return names[-1]

    yield name
    for uid in names:
        client.wait_for_task(client.delete_index(uid).task_uid, PATIENCE_MS, 10)


@pytest.fixture
def new_index(client: meilisearch.Client, name_index: Callable[[], str]) -> Callable[..., Index]:
    """Makes an index of its own with settings, then documents."""

    def make(settings: dict[str, Any] | None = None, documents: list[dict[str, Any]] | None = None) -> Index:
        uid = name_index()
        done(client, client.create_index(uid, {"primaryKey": "concert_id"}))
        index = client.index(uid)
        if settings:
            done(client, index.update_settings(settings))
        if documents:
            done(client, index.add_documents(documents))
        return index

    return make


# -- the concerts ------------------------------------------------------------------------------------------------------

SETTINGS = {
    "searchableAttributes": ["artist", "venue", "city", "songs"],
    "filterableAttributes": ["artist", "year", "country", "city", "songs", "tour", "soldout"],
    "sortableAttributes": ["night", "year"],
}


def concert(concert_id: str, artist: str, night: str, venue: str, **more: Any) -> dict[str, Any]:
    return {"concert_id": concert_id, "artist": artist, "night": night, "year": int(night[:4]), "venue": venue, **more}


CONCERTS = [
    concert("gd72", "Grateful Dead", "1972-08-27", "Old Renaissance Faire Grounds", city="Veneta", country="US"),
    concert("gd77", "Grateful Dead", "1977-05-08", "Barton Hall", city="Ithaca", country="US", soldout=True),
    concert("gd90", "Grateful Dead", "1990-03-29", "Nassau Coliseum", city="Uniondale", country="US"),
    concert("rh97", "Radiohead", "1997-06-28", "Worthy Farm", city="Pilton", country="GB", tour="OK Computer"),
    concert("rh16", "Radiohead", "2016-05-23", "Le Zénith", city="Paris", country="FR", tour="A Moon Shaped Pool"),
    concert("sr13", "Sigur Rós", "2013-03-07", "Brixton Academy", city="London", country="GB", tour=None),
    concert("bj01", "Björk", "2001-08-18", "Le Grand Rex", city="Paris", country="FR", songs=[]),
    concert("kw81", "Kraftwerk", "1981-06-28", "Hammersmith Palais", city="London", country="GB"),
    concert("dc12", "Dead Can Dance", "2012-10-19", "Le Grand Rex", city="Paris", country="FR"),
    concert("dk84", "Dead Kennedys", "1984-07-19", "Starlight Ballroom", country=None),
    concert("ph97", "Phish", "1997-11-17", "McNichols Arena", city="Denver", country="US"),
    concert("rs96", "坂本龍一", "1996-08-01", "日本武道館", city="東京", country="JP"),
]
SONGS = {
    "gd72": ["Dark Star", "Bird Song"],
    "gd77": ["Scarlet Begonias", "Morning Dew"],
    "gd90": ["Eyes of the World", "Dark Star"],
    "rh97": ["Lucky", "Karma Police"],
    "rh16": ["Burn the Witch", "Let Down"],
    "sr13": ["Svefn-g-englar"],
    "kw81": ["Autobahn", "Radioactivity"],
    "dc12": ["Rakim"],
    "ph97": ["Tweezer", "Ghost"],
}
for row in CONCERTS:
    if row["concert_id"] in SONGS:
        row["songs"] = SONGS[row["concert_id"]]
CONCERTS[0] |= {"tour": "", "soldout": False}
CONCERTS[2] |= {"tour": "Spring 1990"}
ALL = {row["concert_id"] for row in CONCERTS}


@pytest.fixture(scope="module")
def concerts(client: meilisearch.Client, name_index: Callable[[], str]) -> Index:
    """Settings first, then documents. Tests only read it."""
    uid = name_index()
    done(client, client.create_index(uid, {"primaryKey": "concert_id"}))
    index = client.index(uid)
    done(client, index.update_settings(SETTINGS))
    done(client, index.add_documents(CONCERTS))
    return index


def ids(answer: Mapping[str, Any]) -> list[str]:
    return [hit["concert_id"] for hit in answer["hits"]]


# -- the server and its indexes ----------------------------------------------------------------------------------------


def test_the_server_says_that_it_is_there(client: meilisearch.Client) -> None:
    assert client.health() == {"status": "available"}
    assert client.is_healthy()
    assert re.match(r"\d+\.\d+\.\d+", client.get_version()["pkgVersion"])


def test_an_index_is_made_listed_and_deleted(client: meilisearch.Client, name_index: Callable[[], str]) -> None:
    uid = name_index()
    info = client.create_index(uid, {"primaryKey": "concert_id"})
    assert (info.status, info.type, info.index_uid) == ("enqueued", "indexCreation", uid)
    assert done(client, info).details == {"primaryKey": "concert_id"}
    assert client.get_index(uid).primary_key == "concert_id"
    assert uid in {index.uid for index in client.get_indexes({"limit": 1000})["results"]}
    done(client, client.delete_index(uid))
    with refused("index_not_found", 404):
        client.get_index(uid)


def test_a_second_index_of_the_same_name_fails_as_a_task(client: meilisearch.Client, concerts: Index) -> None:
    assert failed(client, client.create_index(concerts.uid)) == "index_already_exists"


def test_a_bad_index_name_is_refused_at_once(client: meilisearch.Client) -> None:
    with refused("invalid_index_uid"):
        client.create_index("not a name")


def test_deleting_what_is_not_there_fails_as_a_task(client: meilisearch.Client) -> None:
    assert failed(client, client.delete_index("gigz-test-nowhere")) == "index_not_found"


def test_searching_what_is_not_there_is_refused(client: meilisearch.Client) -> None:
    with refused("index_not_found", 404):
        client.index("gigz-test-nowhere").search("x")


def test_the_primary_key_cannot_change_under_documents(client: meilisearch.Client, concerts: Index) -> None:
    assert failed(client, concerts.update(primary_key="night")) == "index_primary_key_already_exists"
    info = concerts.add_documents([{"concert_id": "x", "night": "y"}], primary_key="night")
    assert failed(client, info) == "index_primary_key_already_exists"


def test_stats_count_documents_and_fields(concerts: Index, client: meilisearch.Client) -> None:
    stats = concerts.get_stats()
    assert stats.number_of_documents == len(CONCERTS)
    assert dict(stats.field_distribution)["city"] == len([row for row in CONCERTS if "city" in row])
    assert client.get_all_stats()["indexes"][concerts.uid]["numberOfDocuments"] == len(CONCERTS)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_come_back_as_they_were_set(concerts: Index) -> None:
    settings = concerts.get_settings()
    assert settings["searchableAttributes"] == SETTINGS["searchableAttributes"]
    assert sorted(settings["filterableAttributes"]) == sorted(SETTINGS["filterableAttributes"])
    assert settings["sortableAttributes"] == sorted(SETTINGS["sortableAttributes"])
    assert settings["displayedAttributes"] == ["*"]
    assert settings["typoTolerance"]["minWordSizeForTypos"] == {"oneTypo": 5, "twoTypos": 9}
    assert concerts.get_pagination_settings().max_total_hits == 1000


def test_a_setting_is_changed_and_reset_alone(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index(SETTINGS)
    done(client, index.update_sortable_attributes(["night"]))
    done(client, index.update_pagination_settings({"maxTotalHits": 5}))
    assert index.get_sortable_attributes() == ["night"]
    assert index.get_searchable_attributes() == SETTINGS["searchableAttributes"]
    done(client, index.reset_sortable_attributes())
    assert index.get_sortable_attributes() == []
    done(client, index.reset_settings())
    assert index.get_searchable_attributes() == ["*"]
    assert index.get_pagination_settings().max_total_hits == 1000


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"rankingRules": ["nonsense"]}, "invalid_settings_ranking_rules"),
        ({"searchableAttributes": "artist"}, "invalid_settings_searchable_attributes"),
        ({"pagination": {"maxTotalHits": "many"}}, "invalid_settings_pagination"),
        (
            {"typoTolerance": {"minWordSizeForTypos": {"oneTypo": 9, "twoTypos": 5}}},
            "invalid_settings_typo_tolerance",
        ),
        ({"noSuchSetting": True}, "bad_request"),
    ],
)
def test_a_wrong_setting_is_refused_at_once(concerts: Index, settings: dict[str, Any], code: str) -> None:
    with refused(code):
        concerts.update_settings(settings)


def test_settings_changed_later_apply_to_documents_already_there(
    client: meilisearch.Client, new_index: Callable[..., Index]
) -> None:
    index = new_index(None, CONCERTS)
    with refused("invalid_search_filter"):
        index.search("", {"filter": "year = 1977"})
    done(client, index.update_filterable_attributes(["year"]))
    assert ids(index.search("", {"filter": "year = 1977"})) == ["gd77"]


# -- documents ---------------------------------------------------------------------------------------------------------


def test_documents_are_received_and_indexed(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index()
    info = index.add_documents(CONCERTS)
    assert (info.status, info.type) == ("enqueued", "documentAdditionOrUpdate")
    task = done(client, info)
    assert task.details == {"receivedDocuments": len(CONCERTS), "indexedDocuments": len(CONCERTS)}
    assert task.duration.startswith("PT")
    assert task.enqueued_at <= task.started_at <= task.finished_at


def test_large_batches_are_awaited_one_by_one(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index(SETTINGS)
    rows = [concert(f"n{n}", f"Artist {n % 50}", f"{1960 + n % 60}-01-01", "Hall") for n in range(3_000)]
    for info in index.add_documents_in_batches(rows, batch_size=1_000):
        done(client, info)
    assert index.get_stats().number_of_documents == 3_000
    assert index.search("artist", {"hitsPerPage": 1})["totalHits"] == 1_000  # maxTotalHits
    assert index.search("", {"filter": "year = 1977", "hitsPerPage": 1})["totalHits"] == 50


def test_adding_replaces_and_updating_merges(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index(SETTINGS, [concert("a", "Phish", "1997-11-17", "McNichols Arena", city="Denver")])
    done(client, index.update_documents([{"concert_id": "a", "venue": "Red Rocks"}]))
    merged = dict(index.get_document("a"))
    assert (merged["artist"], merged["venue"], merged["city"]) == ("Phish", "Red Rocks", "Denver")
    assert ids(index.search("rocks")) == ["a"]
    done(client, index.add_documents([{"concert_id": "a", "artist": "Goose"}]))
    assert dict(index.get_document("a")) == {"concert_id": "a", "artist": "Goose"}
    assert ids(index.search("phish")) == []
    assert index.get_stats().number_of_documents == 1


def test_the_last_of_two_documents_with_one_id_counts(
    client: meilisearch.Client, new_index: Callable[..., Index]
) -> None:
    index = new_index(SETTINGS)
    done(
        client,
        index.add_documents([concert("a", "Phish", "1997-11-17", "x"), concert("a", "Goose", "2024-11-17", "y")]),
    )
    assert index.get_document("a").artist == "Goose"
    assert index.get_stats().number_of_documents == 1


def test_one_document_is_read_with_chosen_fields(concerts: Index) -> None:
    assert dict(concerts.get_document("gd77", {"fields": ["artist", "year"]})) == {
        "artist": "Grateful Dead",
        "year": 1977,
    }
    with refused("document_not_found", 404):
        concerts.get_document("nobody")


def test_documents_are_read_in_pages_and_by_filter(concerts: Index) -> None:
    page = concerts.get_documents({"limit": 5, "offset": 10, "fields": ["concert_id"]})
    assert (page.total, page.offset, page.limit, len(page.results)) == (len(CONCERTS), 10, 5, 2)
    assert set(dict(page.results[0])) == {"concert_id"}
    found = concerts.get_documents({"filter": "artist = 'Grateful Dead' AND year < 1980"})
    assert {document.concert_id for document in found.results} == {"gd72", "gd77"}
    assert found.total == 2
    with refused("invalid_document_filter"):
        concerts.get_documents({"filter": "venue = x"})


def test_documents_are_read_by_their_ids(concerts: Index) -> None:
    asked = {"ids": ["gd77", "rh97", "nobody"], "fields": ["concert_id", "year"], "limit": 100}
    found = concerts.get_documents(asked)
    assert {(document.concert_id, document.year) for document in found.results} == {("gd77", 1977), ("rh97", 1997)}
    assert found.total == 2


def test_documents_are_deleted_one_by_filter_and_all(
    client: meilisearch.Client, new_index: Callable[..., Index]
) -> None:
    index = new_index(SETTINGS, CONCERTS)
    assert done(client, index.delete_document("gd72")).details["deletedDocuments"] == 1
    assert done(client, index.delete_document("gd72")).details["deletedDocuments"] == 0
    task = done(client, index.delete_documents(filter=["country = FR", "year > 2005"]))
    assert (task.type, task.details["deletedDocuments"]) == ("documentDeletion", 2)
    assert set(ids(index.search("", {"limit": 100}))) == ALL - {"gd72", "rh16", "dc12"}
    assert done(client, index.delete_all_documents()).details["deletedDocuments"] == len(ALL) - 3
    assert index.get_stats().number_of_documents == 0
    assert ids(index.search("radiohead")) == []


def test_documents_are_deleted_by_a_list_of_ids(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index(SETTINGS, CONCERTS)
    with pytest.warns(DeprecationWarning):
        info = index.delete_documents(["gd72", "gd77", "nobody"])
    assert done(client, info).details["deletedDocuments"] == 2


def test_documents_are_deleted_by_a_filter_of_many_ids(
    client: meilisearch.Client, new_index: Callable[..., Index]
) -> None:
    index = new_index({"filterableAttributes": ["concert_id"]}, CONCERTS)
    named = ", ".join(f'"{concert_id}"' for concert_id in ["gd72", "rh97", *(f"nobody-{n}" for n in range(3_000))])
    assert done(client, index.delete_documents(filter=f"concert_id IN [{named}]")).details["deletedDocuments"] == 2
    assert set(ids(index.search("", {"limit": 100}))) == ALL - {"gd72", "rh97"}


def test_the_same_settings_again_change_nothing(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index(SETTINGS, CONCERTS)
    done(client, index.update_settings(SETTINGS))
    assert ids(index.search("barton", {"filter": "year = 1977"})) == ["gd77"]


def test_deleting_by_a_filter_that_cannot_be_read_is_refused_at_once(concerts: Index) -> None:
    with refused("invalid_document_filter"):
        concerts.delete_documents(filter="year >>> 3")


def test_deleting_by_an_attribute_not_filterable_fails_as_a_task(client: meilisearch.Client, concerts: Index) -> None:
    assert failed(client, concerts.delete_documents(filter="venue = x")) == "invalid_document_filter"


@pytest.mark.parametrize("bad_id", ["two words", "ümlaut", "a/b", "", "x" * 512, 1.5, None, ["a"]])
def test_one_bad_id_fails_the_whole_batch(
    client: meilisearch.Client, new_index: Callable[..., Index], bad_id: Any
) -> None:
    index = new_index()
    rows = [{"concert_id": "good"}, {"concert_id": bad_id}, {"concert_id": "fine"}]
    info = index.add_documents(rows)
    assert failed(client, info) == "invalid_document_id"
    assert client.get_task(info.task_uid).details == {"receivedDocuments": 3, "indexedDocuments": 0}
    assert index.get_stats().number_of_documents == 0
    done(client, index.add_documents([rows[0], rows[2]]))
    assert index.get_stats().number_of_documents == 2


def test_a_document_without_id_fails_the_batch(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    assert failed(client, new_index().add_documents([{"artist": "Phish"}])) == "missing_document_id"


def test_the_primary_key_is_found_by_its_name(client: meilisearch.Client, name_index: Callable[[], str]) -> None:
    index = client.index(name_index())
    done(client, index.add_documents([{"concert_id": 7, "artist": "Phish"}]))
    assert index.get_primary_key() == "concert_id"
    assert index.get_document("7").artist == "Phish"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"artist": "Phish"}, "index_primary_key_no_candidate_found"),
        ({"concert_id": 1, "artist_id": 2}, "index_primary_key_multiple_candidates_found"),
    ],
)
def test_a_primary_key_that_cannot_be_found_fails_the_batch(
    client: meilisearch.Client, name_index: Callable[[], str], document: dict[str, Any], code: str
) -> None:
    index = client.index(name_index())
    assert failed(client, index.add_documents([document])) == code


def test_ndjson_and_csv_are_read_too(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index(SETTINGS)
    done(client, index.add_documents_ndjson(b'{"concert_id": "a", "year": 1}\n{"concert_id": "b", "year": 2}\n'))
    done(client, index.add_documents_csv(b'concert_id,year:number,artist\nc,3,"Ch\xc3\xa9ri, live"\n'))
    found = {document.concert_id: document.year for document in index.get_documents().results}
    assert found == {"a": 1, "b": 2, "c": 3}
    assert index.get_document("c").artist == "Chéri, live"


@pytest.mark.parametrize("body", [b"[{", b"3", b'["text"]', b'[{"concert_id": 1}'])
def test_a_body_that_cannot_be_read_is_refused_at_once(concerts: Index, body: bytes) -> None:
    with refused("malformed_payload"):
        concerts.add_documents_raw(body, content_type="application/json")


def test_a_body_without_or_of_another_content_type_is_refused_at_once(concerts: Index) -> None:
    with refused("missing_content_type", 415):
        concerts.add_documents_raw(b"[]")
    with refused("invalid_content_type", 415):
        concerts.add_documents_raw(b"[]", content_type="text/plain")
    with refused("missing_payload"):
        concerts.add_documents_raw(b"", content_type="application/json")


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_newest_first_and_filtered(
    client: meilisearch.Client, new_index: Callable[..., Index]
) -> None:
    index = new_index(SETTINGS)
    good = done(client, index.add_documents([{"concert_id": "a"}]))
    bad = client.wait_for_task(index.add_documents([{"concert_id": "a b"}]).task_uid, PATIENCE_MS, 10)
    mine = {"indexUids": [index.uid]}
    assert [task.uid for task in client.get_tasks({**mine, "limit": "2"}).results] == [bad.uid, good.uid]
    page = client.get_tasks({**mine, "limit": "1"})
    assert (page.total, page.limit, page.from_, page.next_) == (4, 1, bad.uid, good.uid)
    assert client.get_tasks({**mine, "from": str(page.next_)}).results[0].uid == good.uid
    assert [task.uid for task in client.get_tasks({**mine, "statuses": ["failed"]}).results] == [bad.uid]
    assert [t.type for t in client.get_tasks({**mine, "types": ["settingsUpdate", "indexCreation"]}).results] == [
        "settingsUpdate",
        "indexCreation",
    ]
    assert client.get_task(bad.uid).error == bad.error
    assert {task.uid for task in client.get_tasks({"uids": [str(good.uid), str(bad.uid)]}).results} == {
        good.uid,
        bad.uid,
    }


def test_a_task_nobody_knows_is_not_found(client: meilisearch.Client) -> None:
    with refused("task_not_found", 404):
        client.get_task(2_000_000_000)
    with refused("invalid_task_statuses"):
        client.get_tasks({"statuses": "sleeping"})


def test_tasks_are_canceled_and_deleted_only_with_a_filter(client: meilisearch.Client, concerts: Index) -> None:
    with refused("missing_task_filters"):
        client.cancel_tasks({})
    info = client.delete_tasks({"indexUids": [concerts.uid], "statuses": ["failed"]})
    task = done(client, info)
    assert task.type == "taskDeletion"
    assert task.details["deletedTasks"] == task.details["matchedTasks"]
    assert client.get_tasks({"indexUids": [concerts.uid], "statuses": ["failed"]}).total == 0
    assert done(client, client.cancel_tasks({"uids": [str(info.task_uid)]})).details["canceledTasks"] == 0


# -- search as you type ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["r", "ra", "rad", "radio", "radioh", "radiohead", "RADIOHEAD"])
def test_results_come_while_the_word_is_typed(concerts: Index, typed: str) -> None:
    assert {"rh97", "rh16"} <= set(ids(concerts.search(typed)))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("radiohed", {"rh97", "rh16"}),  # one letter missing
        ("raidohead", {"rh97", "rh16"}),  # two letters swapped
        ("rdiohead", {"rh97", "rh16"}),
        ("radoheed", set()),  # two typos in 8 letters
        ("phihs", {"ph97"}),  # 5 letters: one typo
        ("phsh", set()),  # 4 letters: none
        ("adiohead", set()),  # the first letter counts as two, of which 8 letters have none
        ("craftwerk", {"kw81"}),  # 9 letters have two
        ("kraftverc", {"kw81"}),  # two typos in 9 letters
        ("kravtverc", set()),  # three
        ("gratefl", {"gd72", "gd77", "gd90"}),  # a typo in the beginning of a word
        ("sigur ros", {"sr13"}),
        ("bjork", {"bj01"}),
        ("BJÖRK", {"bj01"}),
        ("zenith", {"rh16"}),
        ("坂本龍一", {"rs96"}),
    ],
)
def test_typos_case_and_accents_are_forgiven_by_the_rules(concerts: Index, typed: str, found: set[str]) -> None:
    assert set(ids(concerts.search(typed))) == found


def test_only_the_last_word_may_be_unfinished(concerts: Index) -> None:
    assert set(ids(concerts.search("grat"))) == {"gd72", "gd77", "gd90"}
    assert ids(concerts.search("grat ")) == []
    assert ids(concerts.search("grat hall", {"matchingStrategy": "all"})) == []


def test_last_words_are_dropped_unless_all_are_asked_for(concerts: Index) -> None:
    answer = ids(concerts.search("grateful dead barton"))
    assert answer[0] == "gd77"
    assert set(answer) >= {"gd72", "gd77", "gd90"}
    assert ids(concerts.search("grateful dead barton", {"matchingStrategy": "all"})) == ["gd77"]


def test_words_in_quotes_stand_together(concerts: Index) -> None:
    assert set(ids(concerts.search('"dark star"'))) == {"gd72", "gd90"}
    assert ids(concerts.search('"star dark"')) == []
    assert set(ids(concerts.search('"grateful dead" coliseum'))) >= {"gd90"}
    assert ids(concerts.search('"grateful dead" coliseum'))[0] == "gd90"


def test_a_word_after_a_minus_is_kept_out(concerts: Index) -> None:
    assert set(ids(concerts.search("grateful -barton"))) == {"gd72", "gd90"}


def test_two_words_are_found_written_as_one_and_one_as_two(concerts: Index) -> None:
    assert "gd77" in ids(concerts.search("gratefuldead"))
    assert "kw81" in ids(concerts.search("kraft werk"))


def test_better_matches_come_first(concerts: Index, new_index: Callable[..., Index]) -> None:
    index = new_index(
        {"searchableAttributes": ["artist", "venue"]},
        [
            {"concert_id": "typo", "artist": "Phisq", "venue": "x"},
            {"concert_id": "venue", "artist": "Goose", "venue": "Phish Hall"},
            {"concert_id": "artist", "artist": "Phish", "venue": "x"},
            {"concert_id": "prefix", "artist": "Phishers", "venue": "x"},
        ],
    )
    assert ids(index.search("phish ")) == ["artist", "venue", "typo"]
    assert ids(index.search("phish")) == ["artist", "prefix", "venue", "typo"]


def test_words_that_stand_together_come_first(new_index: Callable[..., Index]) -> None:
    index = new_index(
        {"searchableAttributes": ["songs"]},
        [
            {"concert_id": "far", "songs": "star of a night that was so very dark"},
            {"concert_id": "near", "songs": "a night of the dark star"},
        ],
    )
    assert ids(index.search("dark star")) == ["near", "far"]


def test_an_empty_search_returns_everything(concerts: Index) -> None:
    assert set(ids(concerts.search(""))) == ALL
    assert set(ids(concerts.search("   "))) == ALL


# -- filters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("year = 1997", {"rh97", "ph97"}),
        ("year != 1997", ALL - {"rh97", "ph97"}),
        ("year >= 2012", {"sr13", "rh16", "dc12"}),
        ("year > 2012 AND country = FR", {"rh16"}),
        ("year < 1980", {"gd72", "gd77"}),
        ("year <= 1977", {"gd72", "gd77"}),
        ("year 1990 TO 1997", {"gd90", "rh97", "ph97", "rs96"}),
        ("artist = 'grateful dead'", {"gd72", "gd77", "gd90"}),
        ('artist = "Grateful Dead" AND year = 1977', {"gd77"}),
        ("country IN [JP, GB]", {"rs96", "rh97", "sr13", "kw81"}),
        ("country NOT IN [JP, GB, FR, US]", {"dk84"}),
        ("NOT country IN [JP, GB, FR, US]", {"dk84"}),
        ("country = JP OR country = GB AND year > 2000", {"rs96", "sr13"}),
        ("(country = JP OR country = GB) AND year > 2000", {"sr13"}),
        ("NOT (country = US OR country = FR)", {"rh97", "sr13", "kw81", "dk84", "rs96"}),
        ("country IS NULL", {"dk84"}),
        ("country IS NOT NULL AND year = 1984", set()),
        ("city NOT EXISTS", {"dk84"}),
        ("city EXISTS AND year = 1984", set()),
        ("tour EXISTS", {"gd72", "gd90", "rh97", "rh16", "sr13"}),
        ("tour IS EMPTY", {"gd72"}),
        ("tour IS NULL", {"sr13"}),
        ("songs IS EMPTY", {"bj01"}),
        ("songs IS NOT EMPTY AND country = FR", {"rh16", "dc12"}),
        ("songs = 'dark star'", {"gd72", "gd90"}),
        ("soldout = true", {"gd77"}),
        ("tour = 'OK Computer'", {"rh97"}),
        ("city = 東京", {"rs96"}),
        (["year > 1980", ["country = FR", "country = JP"]], {"rh16", "bj01", "dc12", "rs96"}),
        ([["country = FR"], "year > 2010"], {"rh16", "dc12"}),
        ([], ALL),
        ("", ALL),
    ],
)
def test_filters_let_through_what_they_say(concerts: Index, expression: Any, found: set[str]) -> None:
    assert set(ids(concerts.search("", {"filter": expression, "limit": 100}))) == found


@pytest.mark.parametrize(
    "expression",
    [
        "year",
        "year =",
        "year == 1997",
        "year = 1997 country = US",
        "year = 1997 and country = US",
        "(year = 1997",
        "year = 'open",
        "country IN US",
        "country IN [US",
        "venue = 'Barton Hall'",
        "AND",
        {"year": 1997},
        [{"year": 1997}],
    ],
)
def test_a_filter_that_cannot_be_read_or_used_is_refused(concerts: Index, expression: Any) -> None:
    with refused("invalid_search_filter"):
        concerts.search("", {"filter": expression})


def test_a_filter_and_words_hold_together(concerts: Index) -> None:
    assert ids(concerts.search("grateful ded", {"filter": "year = 1977"})) == ["gd77"]


# -- sort, facets, pages -----------------------------------------------------------------------------------------------


def test_results_are_sorted_by_night(concerts: Index) -> None:
    newest = ids(concerts.search("", {"sort": ["night:desc"], "limit": 3}))
    assert newest == ["rh16", "sr13", "dc12"]
    assert ids(concerts.search("grateful dead", {"sort": ["night:asc"], "limit": 3})) == ["gd72", "gd77", "gd90"]
    both = ids(concerts.search("", {"filter": "year = 1997 OR year = 1990", "sort": ["year:desc", "night:asc"]}))
    assert both == ["rh97", "ph97", "gd90"]


def test_documents_without_the_sorted_value_come_last(new_index: Callable[..., Index]) -> None:
    rows = [
        {"concert_id": "none"},
        {"concert_id": "a", "night": "1990-01-01"},
        {"concert_id": "b", "night": "1991-01-01"},
    ]
    index = new_index({"sortableAttributes": ["night"]}, rows)
    assert ids(index.search("", {"sort": ["night:asc"]})) == ["a", "b", "none"]
    assert ids(index.search("", {"sort": ["night:desc"]})) == ["b", "a", "none"]


@pytest.mark.parametrize("sort", [["venue:asc"], ["night"], ["night:up"]])
def test_a_sort_that_cannot_be_done_is_refused(concerts: Index, sort: list[str]) -> None:
    with refused("invalid_search_sort"):
        concerts.search("", {"sort": sort})


def test_facets_count_what_was_found(concerts: Index) -> None:
    answer = concerts.search("grateful dead", {"facets": ["year", "country"], "filter": "artist = 'Grateful Dead'"})
    assert answer["facetDistribution"] == {"country": {"US": 3}, "year": {"1972": 1, "1977": 1, "1990": 1}}
    assert answer["facetStats"] == {"year": {"min": 1972, "max": 1990}}
    everything = concerts.search("", {"facets": ["country"], "limit": 0})
    assert everything["facetDistribution"]["country"] == {"FR": 3, "GB": 3, "JP": 1, "US": 4}
    assert everything["hits"] == []


def test_facets_are_limited_and_ordered_as_set(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index({**SETTINGS, "faceting": {"maxValuesPerFacet": 2, "sortFacetValuesBy": {"*": "count"}}}, CONCERTS)
    assert next(iter(index.search("", {"facets": ["country"]})["facetDistribution"]["country"].items())) == ("US", 4)
    assert len(index.search("", {"facets": ["year"]})["facetDistribution"]["year"]) == 2
    assert index.get_faceting_settings().max_values_per_facet == 2


def test_a_facet_that_is_not_filterable_is_refused(concerts: Index) -> None:
    with refused("invalid_search_facets"):
        concerts.search("", {"facets": ["venue"]})


def test_values_of_a_facet_are_found_by_their_beginning(concerts: Index) -> None:
    answer = concerts.facet_search("artist", "de")
    assert answer["facetHits"] == [{"value": "Dead Can Dance", "count": 1}, {"value": "Dead Kennedys", "count": 1}]
    assert concerts.facet_search("artist", "bjo")["facetHits"] == [{"value": "Björk", "count": 1}]
    with refused("invalid_facet_search_facet_name"):
        concerts.facet_search("venue", "x")


def test_results_are_paged_by_offset_and_limit(concerts: Index) -> None:
    sort = {"sort": ["night:asc"]}
    whole = ids(concerts.search("", {**sort, "limit": 100}))
    answer = concerts.search("", {**sort, "offset": 4, "limit": 3})
    assert ids(answer) == whole[4:7]
    assert (answer["offset"], answer["limit"], answer["estimatedTotalHits"]) == (4, 3, len(ALL))
    assert "totalHits" not in answer
    assert ids(concerts.search("", {"offset": 100})) == []


def test_results_are_paged_by_number(concerts: Index) -> None:
    sort = {"sort": ["night:asc"]}
    whole = ids(concerts.search("", {**sort, "limit": 100}))
    answer = concerts.search("", {**sort, "page": 2, "hitsPerPage": 5})
    assert ids(answer) == whole[5:10]
    assert (answer["page"], answer["hitsPerPage"]) == (2, 5)
    assert (answer["totalHits"], answer["totalPages"]) == (len(ALL), 3)
    assert "estimatedTotalHits" not in answer


def test_no_more_than_the_set_number_of_hits_is_reached(new_index: Callable[..., Index]) -> None:
    index = new_index({**SETTINGS, "pagination": {"maxTotalHits": 4}}, CONCERTS)
    assert len(ids(index.search("", {"limit": 100}))) == 4
    assert index.search("", {"page": 1, "hitsPerPage": 3})["totalPages"] == 2
    assert len(ids(index.search("", {"page": 2, "hitsPerPage": 3}))) == 1


def test_one_hit_for_each_distinct_value(concerts: Index) -> None:
    found = ids(concerts.search("", {"distinct": "artist", "sort": ["night:asc"], "limit": 100}))
    assert {"gd72", "rh97"} <= set(found)
    assert not {"gd77", "gd90", "rh16"} & set(found)
    with refused("invalid_search_distinct"):
        concerts.search("", {"distinct": "venue"})


# -- what a hit shows --------------------------------------------------------------------------------------------------


def test_only_the_attributes_asked_for_are_retrieved(concerts: Index) -> None:
    hit = concerts.search("barton", {"attributesToRetrieve": ["artist", "year"]})["hits"][0]
    assert hit == {"artist": "Grateful Dead", "year": 1977}


def test_attributes_not_displayed_are_never_shown(new_index: Callable[..., Index]) -> None:
    index = new_index({"displayedAttributes": ["concert_id", "artist"]}, CONCERTS)
    assert index.search("barton")["hits"] == [{"concert_id": "gd77", "artist": "Grateful Dead"}]


def test_matches_are_highlighted_with_the_tags_asked_for(concerts: Index) -> None:
    options = {
        "attributesToHighlight": ["artist", "songs"],
        "highlightPreTag": "[",
        "highlightPostTag": "]",
        "attributesToRetrieve": ["artist", "songs", "year"],
    }
    (hit,) = concerts.search("barton dark", {**options, "filter": "year = 1977"})["hits"]
    assert hit["_formatted"]["artist"] == "Grateful Dead"
    assert hit["_formatted"]["year"] == "1977"
    assert hit["year"] == 1977
    hits = {hit["artist"]: hit["_formatted"] for hit in concerts.search("sigur ros", options)["hits"]}
    assert hits["Sigur Rós"]["artist"] == "[Sigur] [Rós]"
    first = concerts.search("dark star", {**options, "filter": "year = 1972"})["hits"][0]
    assert first["_formatted"]["songs"] == ["[Dark] [Star]", "Bird Song"]


def test_the_typed_beginning_of_a_word_is_highlighted(concerts: Index) -> None:
    hit = concerts.search("radioh", {"attributesToHighlight": ["*"]})["hits"][0]
    assert hit["_formatted"]["artist"] == "<em>Radioh</em>ead"
    hit = concerts.search("radiohed ", {"attributesToHighlight": ["artist"]})["hits"][0]
    assert hit["_formatted"]["artist"] == "<em>Radiohead</em>"


def test_long_values_are_cropped_around_the_match(new_index: Callable[..., Index]) -> None:
    note = "A long night of songs at the old hall by the river with friends"
    index = new_index(None, [{"concert_id": "a", "note": note}])
    (hit,) = index.search("hall", {"attributesToCrop": ["note"], "cropLength": 5})["hits"]
    assert hit["_formatted"]["note"] == "…the old hall by the…"
    (hit,) = index.search("hall", {"attributesToCrop": ["note:3"], "attributesToHighlight": ["note"]})["hits"]
    assert hit["_formatted"]["note"] == "…old <em>hall</em> by…"
    (hit,) = index.search("", {"attributesToCrop": ["note:4"], "cropMarker": "..."})["hits"]
    assert hit["_formatted"]["note"] == "A long night of..."


def test_places_of_matches_are_given_in_bytes(concerts: Index) -> None:
    (hit,) = concerts.search("zenith", {"showMatchesPosition": True})["hits"]
    assert hit["_matchesPosition"] == {"venue": [{"start": 3, "length": 7}]}


def test_a_ranking_score_falls_along_the_hits(concerts: Index) -> None:
    hits = concerts.search("grateful dead", {"showRankingScore": True})["hits"]
    scores = [hit["_rankingScore"] for hit in hits]
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"limit": "many"}, "invalid_search_limit"),
        ({"offset": -1}, "invalid_search_offset"),
        ({"matchingStrategy": "none"}, "invalid_search_matching_strategy"),
        ({"attributesToRetrieve": "artist"}, "invalid_search_attributes_to_retrieve"),
        ({"noSuchOption": 1}, "bad_request"),
    ],
)
def test_a_wrong_search_option_is_refused(concerts: Index, options: dict[str, Any], code: str) -> None:
    with refused(code):
        concerts.search("x", options)


def test_a_search_can_be_held_to_some_attributes(concerts: Index) -> None:
    assert ids(concerts.search("paris", {"attributesToSearchOn": ["artist"]})) == []
    assert set(ids(concerts.search("paris", {"attributesToSearchOn": ["city"]}))) == {"rh16", "bj01", "dc12"}
    with refused("invalid_search_attributes_to_search_on"):
        concerts.search("paris", {"attributesToSearchOn": ["night"]})


def test_several_searches_go_in_one_request(client: meilisearch.Client, concerts: Index) -> None:
    answer = client.multi_search(
        [
            {"indexUid": concerts.uid, "q": "phish", "limit": 1},
            {"indexUid": concerts.uid, "q": "", "filter": "year = 1977"},
        ]
    )
    assert [(one["indexUid"], ids(one)) for one in answer["results"]] == [
        (concerts.uid, ["ph97"]),
        (concerts.uid, ["gd77"]),
    ]
    with refused("index_not_found", 404):
        client.multi_search([{"indexUid": "gigz-test-nowhere", "q": ""}])


def test_a_search_by_get_says_the_same(concerts: Index, server: tuple[str, str | None]) -> None:
    url, key = server
    query = {"q": "grateful", "limit": "2", "filter": "year < 1980", "sort": "night:desc", "facets": "year,country"}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = requests.get(f"{url}/indexes/{concerts.uid}/search", params=query, headers=headers, timeout=10).json()
    assert ids(answer) == ["gd77", "gd72"]
    assert answer["facetDistribution"]["country"] == {"US": 2}


# -- settings that change the words ------------------------------------------------------------------------------------


def test_typo_tolerance_is_set_by_length_word_and_attribute(
    client: meilisearch.Client, new_index: Callable[..., Index]
) -> None:
    index = new_index(SETTINGS, CONCERTS)
    done(client, index.update_typo_tolerance({"minWordSizeForTypos": {"oneTypo": 4, "twoTypos": 8}}))
    assert ids(index.search("phsh")) == ["ph97"]
    done(client, index.update_typo_tolerance({"disableOnWords": ["radiohed"]}))
    assert index.get_settings()["typoTolerance"]["minWordSizeForTypos"] == {"oneTypo": 4, "twoTypos": 8}
    assert ids(index.search("radiohed")) == []
    done(client, index.update_typo_tolerance({"disableOnAttributes": ["artist"], "disableOnWords": []}))
    assert ids(index.search("kraftwrek")) == []
    assert ids(index.search("coliseun")) == ["gd90"]
    done(client, index.update_typo_tolerance({"enabled": False}))
    assert ids(index.search("coliseun")) == []


def test_synonyms_and_stop_words_are_honoured(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    index = new_index({**SETTINGS, "synonyms": {"gd": ["grateful dead"]}, "stopWords": ["the", "of"]}, CONCERTS)
    assert {"gd72", "gd77", "gd90"} <= set(ids(index.search("gd ")))
    assert "gd90" in ids(index.search("the eyes world", {"matchingStrategy": "all"}))


def test_the_searchable_attributes_decide_what_is_found(new_index: Callable[..., Index]) -> None:
    index = new_index({"searchableAttributes": ["artist"]}, CONCERTS)
    assert ids(index.search("coliseum")) == []
    assert new_index(None, CONCERTS).search("coliseum")["hits"][0]["concert_id"] == "gd90"


def test_ranking_rules_are_honoured_in_their_order(new_index: Callable[..., Index]) -> None:
    rules = ["words", "sort", "typo", "proximity", "attribute", "exactness"]
    index = new_index({**SETTINGS, "rankingRules": rules}, CONCERTS)
    found = ids(index.search("dead", {"sort": ["night:desc"]}))
    assert found == ["dc12", "gd90", "dk84", "gd77", "gd72"]
    first = new_index({**SETTINGS, "rankingRules": ["year:desc", "words"]}, CONCERTS)
    assert ids(first.search("dead")) == ["dc12", "gd90", "dk84", "gd77", "gd72"]


def test_settings_change_by_a_new_index_and_a_swap(client: meilisearch.Client, new_index: Callable[..., Index]) -> None:
    live = new_index(SETTINGS, CONCERTS)
    following = new_index(
        {**SETTINGS, "filterableAttributes": ["venue"]}, [*CONCERTS, {"concert_id": "new", "venue": "X"}]
    )
    task = done(client, client.swap_indexes([{"indexes": [live.uid, following.uid]}]))
    assert (task.type, task.index_uid) == ("indexSwap", None)
    assert ids(live.search("", {"filter": "venue = X"})) == ["new"]
    assert live.get_filterable_attributes() == ["venue"]
    assert following.get_stats().number_of_documents == len(CONCERTS)
    assert ids(following.search("", {"filter": "year = 1977"})) == ["gd77"]


def test_a_swap_that_cannot_be_done_is_refused_or_fails(client: meilisearch.Client, concerts: Index) -> None:
    with refused("invalid_swap_duplicate_index_found"):
        client.swap_indexes([{"indexes": [concerts.uid, concerts.uid]}])
    with refused("invalid_swap_indexes"):
        client.swap_indexes([{"indexes": [concerts.uid]}])
    assert failed(client, client.swap_indexes([{"indexes": [concerts.uid, "gigz-test-nowhere"]}])) == "index_not_found"
    assert ids(concerts.search("barton")) == ["gd77"]


# -- the front alone ---------------------------------------------------------------------------------------------------


def test_every_answer_of_the_front_names_it(front: Callable[..., Front]) -> None:
    url = front().url
    for path in ("/health", "/indexes", "/indexes/nowhere", "/nonsense", "/keys"):
        assert requests.get(url + path, timeout=10).headers[FRONT_HEADER] == "meilisearch over tantivy 0.27"


def test_a_key_is_asked_for_where_one_is_set(front: Callable[..., Front]) -> None:
    url = front(key="secret").url
    assert requests.get(f"{url}/health", timeout=10).status_code == 200
    missing = requests.get(f"{url}/indexes", timeout=10)
    assert (missing.status_code, missing.json()["code"]) == (401, "missing_authorization_header")
    with refused("invalid_api_key", 403):
        meilisearch.Client(url, "guess").get_indexes()
    assert meilisearch.Client(url, "secret").get_indexes()["results"] == []


def test_what_the_front_does_not_serve_is_refused_clearly(front: Callable[..., Front]) -> None:
    running = front()
    client = running.client
    done(client, client.create_index("concerts", {"primaryKey": "id"}))
    index = client.index("concerts")
    done(client, index.update_filterable_attributes(["_geo", "name"]))
    for call in (
        client.get_keys,
        client.create_dump,
        client.create_snapshot,
        client.get_batches,
        lambda: index.get_similar_documents({"id": "a", "embedder": "x"}),
        lambda: index.update_settings({"embedders": {"x": {"source": "userProvided", "dimensions": 3}}}),
        lambda: index.update_dictionary(["J. R. R."]),
        lambda: index.search("x", {"hybrid": {"embedder": "x"}}),
        lambda: index.search("x", {"rankingScoreThreshold": 0.5}),
        lambda: index.search("x", {"filter": "_geoRadius(1, 2, 3)"}),
        lambda: index.search("x", {"filter": "name CONTAINS x"}),
        lambda: client.multi_search([{"indexUid": "concerts", "q": ""}], federation={}),
    ):
        with refused("feature_not_enabled"):
            call()
    assert requests.get(f"{running.url}/nonsense", timeout=10).status_code == 404
    assert requests.put(f"{running.url}/health", timeout=10).status_code == 405


def test_a_body_beyond_the_limit_is_refused_at_once(front: Callable[..., Front]) -> None:
    body = b"[" + b" " * (100 * 1024 * 1024) + b"]"
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{front().url}/indexes/concerts/documents", data=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_the_front_refuses_to_listen_beyond_loopback(tmp_path: Path, front: Callable[..., Front]) -> None:
    command = [sys.executable, "-m", "deploy.local.meilisearch_front", "--host", "0.0.0.0", "--port", "0"]
    ended = subprocess.run([*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode != 0
    assert "loopback only" in ended.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_documents_settings_and_tasks_survive_a_restart(front: Callable[..., Front], how: signal.Signals) -> None:
    first = front()
    index = first.client.index("concerts")
    done(first.client, first.client.create_index("concerts", {"primaryKey": "concert_id"}))
    done(first.client, index.update_settings(SETTINGS))
    task = done(first.client, index.add_documents(CONCERTS))
    first.end(how)
    client = front().client
    index = client.index("concerts")
    assert client.get_task(task.uid).status == "succeeded"
    assert ids(index.search("barton", {"filter": "year = 1977"})) == ["gd77"]
    assert index.get_primary_key() == "concert_id"
    done(client, index.add_documents([concert("new", "Goose", "2024-01-01", "Hall")]))
    assert index.get_stats().number_of_documents == len(CONCERTS) + 1


def test_an_acknowledged_task_is_done_after_a_crash(front: Callable[..., Front]) -> None:
    first = front()
    index = first.client.index("concerts")
    batches = [[concert(f"b{b}n{n}", f"Artist {n}", "1990-01-01", "Hall") for n in range(2_000)] for b in range(4)]
    acknowledged = [index.add_documents(batch, primary_key="concert_id") for batch in batches]
    first.end(signal.SIGKILL)
    client = front().client
    for info in acknowledged:
        assert done(client, info).details["indexedDocuments"] == 2_000
    assert client.index("concerts").get_stats().number_of_documents == 8_000
    assert client.index("concerts").search("artist 7", {"limit": 1})["hits"]


def test_waiting_tasks_are_canceled(front: Callable[..., Front]) -> None:
    client = front().client
    index = client.index("concerts")
    rows = [concert(f"n{n}", f"Artist {n}", "1990-01-01", "Hall") for n in range(5_000)]
    first = index.add_documents(rows, primary_key="concert_id")
    waiting = [index.add_documents(rows) for _ in range(3)]
    canceled = done(client, client.cancel_tasks({"uids": [str(waiting[-1].task_uid)]}))
    assert canceled.details["canceledTasks"] in (0, 1)
    last = client.wait_for_task(waiting[-1].task_uid, PATIENCE_MS, 10)
    assert last.status == ("canceled" if canceled.details["canceledTasks"] else "succeeded")
    assert last.canceled_by == (canceled.uid if last.status == "canceled" else None)
    done(client, first)


def test_searches_are_answered_while_a_batch_is_written(front: Callable[..., Front]) -> None:
    client = front().client
    index = client.index("concerts")
    done(client, client.create_index("concerts", {"primaryKey": "concert_id"}))
    done(client, index.update_settings(SETTINGS))
    done(client, index.add_documents(CONCERTS))
    rows = [concert(f"n{n}", f"Artist {n}", "1990-01-01", "Hall") for n in range(20_000)]
    info = index.add_documents(rows)
    answered = 0
    while client.get_task(info.task_uid).status in ("enqueued", "processing"):
        assert ids(index.search("radiohead", {"filter": "country = FR"})) == ["rh16"]
        answered += 1
    assert answered > 0
    done(client, info)
