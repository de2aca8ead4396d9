"""Topics and tables are made what the code says, again and again, up and down."""

import asyncio

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from deploy.clients import kafka_admin, sqlalchemy_url
from deploy.migrate import heads, migrate_postgres
from deploy.settings import Settings, SettingsError
from deploy.topics import TopicError, apply_topics
from schemas.tables import CATALOGUE, STATE, Base
from schemas.topics import BY_NAME, TOPICS

pytestmark = pytest.mark.stack


def _own_database(settings: Settings, name: str) -> Settings:
    url = sqlalchemy_url(settings)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"drop database if exists {name}"))
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    base, _, query = url.replace("+psycopg", "").partition("?")
    own = base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")
    return settings.model_copy(update={"postgres_url": own})


def test_the_migrations_lead_to_what_the_models_say_and_back_to_nothing(stack: Settings) -> None:
    settings = _own_database(stack, "gigz_migrations")
    assert len(heads()) == 1
    assert migrate_postgres(settings) == heads()[0]
    assert migrate_postgres(settings) == heads()[0]
    engine = create_engine(sqlalchemy_url(settings))
    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "version_table": "schema_migrations",
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "schema" or name in {STATE, CATALOGUE},
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
    assert migrate_postgres(settings, "base") == "base"
    with engine.connect() as connection:
        query = "select count(*) from pg_namespace n join pg_class c on c.relnamespace = n.oid where nspname = any(:s)"
        assert connection.scalar(text(query), {"s": [STATE, CATALOGUE]}) == 0
        assert connection.scalar(text("select count(*) from pg_type where typtype = 'e'")) == 0
    assert migrate_postgres(settings) == heads()[0]
    engine.dispose()


async def test_topics_are_created_as_the_table_says_and_only_once(stack: Settings) -> None:
    await apply_topics(stack)
    again = await apply_topics(stack)
    assert again.created == again.altered == ()
    assert set(again.unchanged) == set(BY_NAME)
    async with kafka_admin(stack) as admin:
        told = await admin.describe_topics(sorted(BY_NAME))
        assert {len(topic["partitions"]) for topic in told} == {stack.partitions}
        for response in await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, t.name) for t in TOPICS]
        ):
            for resource in response.resources:
                found = {entry[0]: entry[1] for entry in resource[4]}
                assert BY_NAME[resource[3]].config.items() <= found.items()


async def _altered_within(settings: Settings, seconds: float) -> tuple[str, ...]:
    altered: tuple[str, ...] = ()
    for _ in range(int(seconds / 0.2)):
        altered = (await apply_topics(settings)).altered
        if altered:
            break
        await asyncio.sleep(0.2)
    return altered


async def test_a_changed_setting_of_a_topic_is_put_right(stack: Settings) -> None:
    await apply_topics(stack)
    name = "gigz.digest.v1"
    async with kafka_admin(stack) as admin:
        wrong = BY_NAME[name].config | {"retention.ms": "1234567"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=wrong)])
    assert await _altered_within(stack, seconds=10) == (name,)
    await asyncio.sleep(0.5)  # the broker tells of a change a moment after it took it
    assert (await apply_topics(stack)).altered == ()


async def test_another_number_of_partitions_is_refused_with_the_remedy(stack: Settings) -> None:
    await apply_topics(stack)
    with pytest.raises(TopicError, match=f"GIGZ_PARTITIONS={stack.partitions}"):
        await apply_topics(stack.model_copy(update={"partitions": stack.partitions + 1}))


@pytest.mark.parametrize(
    ("engine", "url"),
    [
        ("postgres", "postgresql://gigz:hidden@127.0.0.1:1/gigz"),
        ("postgres", "mysql://127.0.0.1/gigz"),
    ],
)
def test_a_wrong_address_names_the_setting_and_hides_the_password(stack: Settings, engine: str, url: str) -> None:
    with pytest.raises(SettingsError, match="GIGZ_POSTGRES_URL") as caught:
        migrate_postgres(stack.model_copy(update={f"{engine}_url": url}))
    assert "hidden" not in str(caught.value)


async def test_a_wrong_broker_names_the_setting(stack: Settings) -> None:
    with pytest.raises(SettingsError, match="GIGZ_KAFKA_URL"):
        await asyncio.wait_for(apply_topics(stack.model_copy(update={"kafka_url": "127.0.0.1:1"})), 30)
