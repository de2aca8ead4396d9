"""Every setting, its default and the reason for it. The only module that reads the environment.

A setting `kafka_url` is the variable `GIGZ_KAFKA_URL`; secrets may also be files (`GIGZ_JWT_SECRET_FILE`).
`gigz settings` prints the list with what is in force, secrets masked.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "GIGZ_"
STACK_FILE = "stack.json"
"""Written by `gigz up` into the home folder: where each engine listens. Read for every address that is not set."""

SOURCE_KEYS = (
    "setlistfm_api_key",
    "ticketmaster_api_key",
    "bandsintown_app_id",
    "seatgeek_client_id",
    "songkick_api_key",
    "phishnet_api_key",
)
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")

Port = Annotated[int, Field(ge=0, le=65_535)]


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the variable and the remedy."""


class Settings(BaseSettings):
    """All settings of all processes; each process uses its own few."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    # -- the place ------------------------------------------------------------------------------------------------
    home: Path = Field(
        default=Path(".gigz"),
        description="Folder of the local stack: data, logs, lock, addresses. Removing it removes all.",
    )
    environment: str = Field(
        default="development",
        pattern="^(development|production)$",
        description="Production refuses development tokens and generated secrets.",
    )
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level logged.")
    log_format: str = Field(
        default="json", pattern="^(json|console)$", description="json for machines; console for a person at a terminal."
    )

    # -- the engines ----------------------------------------------------------------------------------------------
    kafka_url: str = Field(
        default="", description="Bootstrap servers, host:port[,host:port]. Empty: the local stack's."
    )
    postgres_url: str = Field(
        default="", description="postgresql://user:password@host:port/db. Empty: the local stack's."
    )
    clickhouse_url: str = Field(
        default="", description="http(s)://user:password@host:port/db. Empty: the local stack's."
    )
    day_off_sources: str = Field(
        default="", description="Sources whose dates are a day off at times, with commas: resolve looks a night aside."
    )
    weights: str = Field(
        default="", description="A file of the matcher's weights, by `gigz calibrate`. Empty: those that Gigz ships."
    )
    meilisearch_url: str = Field(default="", description="http(s)://host:port. Empty: the local stack's.")
    meilisearch_key: SecretStr = Field(default=SecretStr(""), description="Meilisearch's API key, where it wants one.")
    meilisearch_bin: str = Field(
        default="", description="A meilisearch program for the local stack. Empty: look on the path."
    )
    clickhouse_bin: str = Field(
        default="", description="A clickhouse program for the local stack. Empty: look on the path."
    )
    # Fixed numbers, so that an address survives a restart; away from the engines' usual ones, so that a
    # system-wide server is not in the way. 0 takes any free port (tests do).
    kafka_port: Port = Field(default=19_092, description="Port of the local Kafka; 0: any free one.")
    kafka_controller_port: Port = Field(
        default=19_093, description="Port of the local Kafka's controller; 0: any free one."
    )
    postgres_port: Port = Field(default=15_432, description="Port of the local PostgreSQL; 0: any free one.")
    clickhouse_port: Port = Field(default=18_123, description="Port of the local ClickHouse's HTTP; 0: any free one.")
    meilisearch_port: Port = Field(default=17_700, description="Port of the local Meilisearch; 0: any free one.")
    demo_site_port: Port = Field(default=18_080, description="Port of the site that the demo crawls; 0: any free one.")
    kafka_heap_mb: int = Field(default=512, ge=256, description="Heap of the local Kafka: 512 held 30,000 messages/s.")
    start_deadline_s: float = Field(
        default=60.0, gt=0, description="How long one engine may take to answer its protocol."
    )

    # -- topics ---------------------------------------------------------------------------------------------------
    partitions: int = Field(
        default=24,
        ge=1,
        le=1024,
        description="Of every topic: alike keys, alike partitions. Divides by 2, 3, 4, 6, 8, 12.",
    )
    replication_factor: int = Field(default=1, ge=1, description="1 fits the one local broker; production sets 3.")

    # -- streams and sinks ----------------------------------------------------------------------------------------
    batch_size: int = Field(
        default=500, ge=1, description="Messages a stage takes at once: a handful of statements each."
    )
    batch_linger_s: float = Field(
        default=0.05,
        gt=0,
        description="How long a stage waits to fill a batch; a backlog fills it by itself. There are four hops.",
    )
    sink_batch_size: int = Field(
        default=5_000, ge=1, description="Rows a sink writes at once; ClickHouse wants 1,000+."
    )
    sink_linger_s: float = Field(default=1.0, gt=0, description="How long a sink waits to fill a batch.")
    producer_linger_ms: int = Field(default=30, ge=0, description="20-50 ms fill lz4 batches without being felt.")
    session_timeout_s: float = Field(default=30.0, ge=6, description="A static member may be away this long unnoticed.")
    poll_interval_s: float = Field(
        default=300.0, gt=0, description="Longest time between polls before Kafka takes the partitions."
    )
    retry_deadline_s: float = Field(
        default=120.0, gt=0, description="Below poll_interval_s: then stop, offset unmoved."
    )
    outbox_shards: int = Field(default=8, ge=1, description="Order is kept in a shard; as many relays at most.")
    outbox_poll_s: float = Field(default=0.05, gt=0, description="How often the relay looks when nothing was there.")
    rejection_share_limit: float = Field(
        default=0.5, gt=0, le=1, description="Above this share of a window a stage halts."
    )
    rejection_window: int = Field(default=2_000, ge=1, description="Messages in the window that the share is taken of.")

    # -- watching -------------------------------------------------------------------------------------------------
    metrics_host: str = Field(
        default="127.0.0.1", description="Address of a worker's /metrics, /live, /ready; in a container 0.0.0.0."
    )
    metrics_port: Port = Field(
        default=0, description="Port of them; 0: any free one, as HOME/metrics/STAGE-N.json tells. Fixed: one worker."
    )
    liveness_s: float = Field(
        default=120.0, gt=0, description="/live fails when messages wait and the commit stood still for so long."
    )

    # -- connections: shares of the 200 that all processes may hold together, used below 80 % -------------------------
    postgres_pool_size: int = Field(default=4, ge=1, description="Connections of one worker; its batches are serial.")
    postgres_pool_size_api: int = Field(default=16, ge=1, description="Connections of one API process.")
    postgres_connect_timeout_s: int = Field(default=10, ge=1, description="Then the store counts as away.")
    postgres_idle_s: int = Field(default=30, ge=1, description="Idle connections are given back after this.")
    postgres_lifetime_s: int = Field(default=1_800, ge=1, description="A connection is replaced after this.")

    # -- API ------------------------------------------------------------------------------------------------------
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on; a proxy stands before it.")
    api_port: Port = Field(default=18_000, description="Port of the API; 0: any free one.")
    stream_poll_s: float = Field(
        default=1.0, gt=0, description="How often a process of the API looks for news while somebody listens, in s."
    )
    jwt_secret: SecretStr = Field(
        default=SecretStr(""),
        description="HS256 secret of development tokens. Empty: made once, kept in the home folder.",
    )
    pages_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Production: signs sessions and forms of the pages, 32 bytes or more. Empty: there are no pages.",
    )
    jwt_jwks_url: str = Field(default="", description="Production: where the public keys of RS256/EdDSA tokens are.")
    jwt_issuer: str = Field(default="", description="Production: the claim iss that tokens must have.")
    jwt_audience: str = Field(default="", description="Production: the claim aud that tokens must have.")
    jwt_leeway_s: float = Field(
        default=10.0, ge=0, le=300, description="By how much the issuer's clock and ours may differ."
    )
    access_token_minutes: int = Field(default=15, ge=1, description="Life of an access token.")
    refresh_token_days: int = Field(
        default=7, ge=1, description="Life of a refresh token of development, counted anew with each that follows it."
    )
    imports_at_once: int = Field(default=2, ge=1, description="Files that one API process reads at a time; 250 MB.")
    import_silence_s: float = Field(
        default=120.0, gt=0, description="Without a word of progress for so long, the reader of a file is ended."
    )
    import_lease_s: float = Field(
        default=15.0, gt=0, description="An import whose process died is taken over by another after this."
    )
    import_keep_days: int = Field(
        default=30, ge=1, description="Uploads are removed so long after the last step of their import."
    )
    cors_origins: str = Field(default="", description="Origins that may call from a browser, comma separated.")
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of our own proxies, with commas: only their X-Forwarded-For is believed.",
    )
    metrics_networks: str = Field(
        default="127.0.0.0/8, ::1",
        description="Networks that may read the API's /metrics without an operator's token, with commas.",
    )
    call_hours: int = Field(
        default=72, ge=24, description="How long an Idempotency-Key is known at least: a phone is off for a weekend."
    )

    # -- what users are told, and what they ask for once --------------------------------------------------------------
    digest_poll_s: float = Field(default=30.0, gt=0, description="How often the scheduler looks whose digest is due.")
    digest_settle_s: float = Field(
        default=60.0, ge=0, description="While a user's sets changed so lately, more is coming: the digest waits."
    )
    erasure_poll_s: float = Field(
        default=5.0, gt=0, description="How often the scheduler looks who asked to be erased."
    )
    erasure_wait_s: float = Field(
        default=120.0, ge=0, description="For Kafka's compaction then; 0: for brokers that let nobody alter topics."
    )

    # -- spiders --------------------------------------------------------------------------------------------------
    user_agent: str = Field(
        default="gigz/0.1 (+https://example.org/gigz; ingestion@example.org)",
        description="Says who crawls and where to complain; set your own address.",
    )
    private_hosts: str = Field(
        default="",
        description="Hosts that spiders may ask though they are private or this machine, with commas. Else refused.",
    )
    own_hosts: str = Field(
        default="", description="Hosts that are our own, with commas: asked without a pause, e.g. the demo's site."
    )
    source_mirrors: str = Field(
        default="",
        description="Who is asked in place of a source's own host: spider=http(s)://host[:port], with commas.",
    )
    setlistfm_api_key: SecretStr = Field(default=SecretStr(""), description="x-api-key of setlist.fm's API 1.0.")
    ticketmaster_api_key: SecretStr = Field(
        default=SecretStr(""), description="apikey of Ticketmaster's Discovery API."
    )
    bandsintown_app_id: SecretStr = Field(default=SecretStr(""), description="app_id of Bandsintown's public API.")
    seatgeek_client_id: SecretStr = Field(default=SecretStr(""), description="client_id of SeatGeek's platform API.")
    songkick_api_key: SecretStr = Field(default=SecretStr(""), description="apikey of Songkick's API 3.0.")
    phishnet_api_key: SecretStr = Field(default=SecretStr(""), description="apikey of phish.net's API v5.")
    spool_mb: int = Field(
        default=512, ge=1, description="What a spider may keep on disk while Kafka is away; full: the crawl pauses."
    )
    spool_wait_s: float = Field(
        default=300.0,
        gt=0,
        description="How long the end of a crawl waits for Kafka; then the spool stays for the next.",
    )
    page_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest time from connecting to a page's last byte, however slowly it drips."
    )
    page_mb: float = Field(default=64.0, gt=0, description="Largest page, packed and unpacked.")
    page_retries: int = Field(default=4, ge=0, description="How often a page that could not be had is asked for again.")
    pages_most: int = Field(
        default=50_000, ge=1, description="Pages of one crawl; more has no source, but an endless calendar."
    )
    page_cache_mb: int = Field(default=512, ge=0, description="Pages kept to ask whether they changed; 0: none.")
    run_timeout_s: int = Field(default=6 * 3_600, ge=1, description="Longest run of a schedule that says nothing else.")
    run_memory_mb: int = Field(default=2_048, ge=256, description="What the process of a run may take.")
    run_stop_grace_s: float = Field(
        default=30.0, gt=0, description="For a run that was told to stop to deliver what is on its way; then SIGKILL."
    )
    heartbeat_s: float = Field(default=2.0, gt=0, description="How often a run tells that it lives, and its counts.")
    lost_after_s: float = Field(default=60.0, gt=0, description="Silence after which a run counts as lost.")
    schedule_poll_s: float = Field(default=1.0, gt=0, description="How often the scheduler looks what is due.")
    schedule_catch_up_h: float = Field(
        default=24.0, ge=0, description="A date missed longer ago than this is not made up for."
    )
    runs_at_once: int = Field(default=4, ge=1, description="Runs that the scheduler has at a time.")
    operators_webhook: str = Field(default="", description="Where operators are told of suspect and failed runs.")
    operators_webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="Signs what is sent there: HMAC-SHA256, header X-Gigz-Signature."
    )

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, field in cls.model_fields.items():
            path = os.environ.get(f"{PREFIX}{name.upper()}_FILE")
            if path and field.annotation is SecretStr and name not in values:
                try:
                    values[name] = Path(path).read_text(encoding="utf-8").strip()
                except OSError as error:
                    raise SettingsError(f"{PREFIX}{name.upper()}_FILE: cannot read {path}: {error.strerror}") from error
        return values

    @property
    def day_off(self) -> frozenset[str]:
        """`day_off_sources`, one by one."""
        return _listed(self.day_off_sources)

    @property
    def hosts_private(self) -> frozenset[str]:
        """`private_hosts`, one by one."""
        return _listed(self.private_hosts)

    @property
    def hosts_own(self) -> frozenset[str]:
        """`own_hosts`, one by one."""
        return _listed(self.own_hosts)

    @property
    def mirrors(self) -> dict[str, str]:
        """`source_mirrors`: spider -> origin. SettingsError when one is none."""
        found = {}
        for one in _listed(self.source_mirrors):
            spider, _, origin = (part.strip() for part in one.partition("="))
            if not spider or not _ORIGIN.fullmatch(origin):
                raise SettingsError(
                    f"{PREFIX}SOURCE_MIRRORS: {one!r} is not spider=http(s)://host[:port]. "
                    "Remedy: musicbrainz_events=http://10.0.0.5:5000"
                )
            found[spider] = origin.rstrip("/")
        return found

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Those that sources gave, which nothing that is kept or told may have in it."""
        secrets = (getattr(self, name) for name in SOURCE_KEYS)
        return tuple(secret.get_secret_value() for secret in secrets if secret.get_secret_value())

    def engine_url(self, engine: str) -> str:
        """Address of kafka, postgres, clickhouse or meilisearch: the setting, else what `gigz up` wrote.

        SettingsError when neither is there.
        """
        name = f"{engine}_url"
        configured: str = getattr(self, name)
        if configured:
            return configured
        stack = read_stack_file(self.home)
        if engine in stack:
            return stack[engine]
        raise SettingsError(
            f"{PREFIX}{name.upper()} is not set and no local stack is known in {self.home}. "
            f"Remedy: start one with `gigz up`, or set {PREFIX}{name.upper()}."
        )


def _listed(names: str) -> frozenset[str]:
    return frozenset(name.strip() for name in names.split(",") if name.strip())


def read_stack_file(home: Path) -> dict[str, str]:
    """Engine -> address, as `gigz up` left it; empty when it never ran."""
    try:
        content = json.loads((home / STACK_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{home / STACK_FILE} cannot be read: {error}. Remedy: `gigz down`, then `gigz up`."
        ) from error
    return {str(engine): str(address) for engine, address in content.get("urls", {}).items()}


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from the environment. SettingsError names each variable that is wrong."""
    try:
        settings = Settings(**(overrides or {}))
    except ValidationError as error:
        lines = [f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']} (given: {e['input']!r})" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from error
    return settings.model_copy(update={"home": settings.home.expanduser().resolve()})


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read once."""
    return load()


def environment_for(settings: Settings) -> dict[str, str]:
    """The variables that make a child process see these settings; addresses as they are set, secrets included."""
    child = dict(os.environ)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        child[f"{PREFIX}{name.upper()}"] = str(value.get_secret_value() if isinstance(value, SecretStr) else value)
    return child


def shown(value: object) -> str:
    """A setting's value for people: secrets and passwords within addresses are masked."""
    if isinstance(value, SecretStr):
        return "***" if value.get_secret_value() else ""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", str(value))
