"""The settings of an index: Meilisearch's names, defaults and refusals.

What is stored is what was set; the rest is the default. A setting that this front cannot honour is refused when it is
set to anything but its default, so that nobody relies on it.

Source  meilisearch-types/src/settings.rs, release 1.50.
"""

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

from deploy.local.meilisearch_front.errors import ApiError, not_served
from deploy.local.meilisearch_front.text import words
from deploy.local.meilisearch_front.typos import TypoRules

DEFAULTS: dict[str, Any] = {
    "displayedAttributes": ["*"],
    "searchableAttributes": ["*"],
    "filterableAttributes": [],
    "sortableAttributes": [],
    "rankingRules": ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"],
    "stopWords": [],
    "nonSeparatorTokens": [],
    "separatorTokens": [],
    "dictionary": [],
    "synonyms": {},
    "distinctAttribute": None,
    "proximityPrecision": "byWord",
    "typoTolerance": {
        "enabled": True,
        "minWordSizeForTypos": {"oneTypo": 5, "twoTypos": 9},
        "disableOnWords": [],
        "disableOnAttributes": [],
        "disableOnNumbers": False,
    },
    "faceting": {"maxValuesPerFacet": 100, "sortFacetValuesBy": {"*": "alpha"}},
    "pagination": {"maxTotalHits": 1000},
    "embedders": {},
    "searchCutoffMs": None,
    "localizedAttributes": None,
    "facetSearch": True,
    "prefixSearch": "indexingTime",
}
_REFUSED = (
    "nonSeparatorTokens",
    "separatorTokens",
    "dictionary",
    "proximityPrecision",
    "embedders",
    "searchCutoffMs",
    "localizedAttributes",
)
_MERGED = ("typoTolerance", "faceting", "pagination")
"""Objects of which an update may name a part."""
_RULES = {"words", "typo", "proximity", "attribute", "attributeRank", "wordPosition", "sort", "exactness"}


def route_of(name: str) -> str:
    """searchableAttributes -> searchable-attributes, the last part of its address."""
    return re.sub(r"([A-Z])", lambda match: "-" + match.group().lower(), name)


BY_ROUTE = {route_of(name): name for name in DEFAULTS}


def _code(name: str) -> str:
    return "invalid_settings_" + route_of(name).replace("-", "_")


def _wrong(name: str, expected: str, value: Any, at: str = "") -> ApiError:
    return ApiError(_code(name), f"Invalid value at `.{name}{at}`: expected {expected}, but found: `{value!r}`.")


def _strings(name: str, value: Any, at: str = "") -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, "an array of strings", value, at)
    return value


def _string_set(name: str, value: Any, at: str = "") -> list[str]:
    return sorted(set(_strings(name, value, at)))


def _filterable(name: str, value: Any) -> list[str]:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        raise not_served("A filterable attribute given as an object of patterns and features")
    listed = list(dict.fromkeys(_strings(name, value)))
    if "*" in listed:
        raise not_served("The wildcard among filterable attributes")
    return listed


def _ranking_rules(name: str, value: Any) -> list[str]:
    for rule in _strings(name, value):
        attribute, _, direction = rule.rpartition(":")
        if rule not in _RULES and not (attribute and direction in ("asc", "desc")):
            raise ApiError(
                _code(name),
                f"Invalid value at `.{name}`: `{rule}` ranking rule is invalid. Valid ranking rules are words, typo, "
                "sort, proximity, attribute, exactness and custom ranking rules.",
            )
        if attribute.startswith("_geo"):
            raise ApiError(_code(name), f"`{attribute}` is a reserved keyword and thus can't be used as a ranking rule")
    return list(value)


def _synonyms(name: str, value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return {word: _strings(name, others, f".{word}") for word, others in value.items()}


def _distinct(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a string", value)
    return value


def _boolean(name: str, value: Any, at: str = "") -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "a boolean", value, at)
    return value


def _count(name: str, value: Any, at: str, low: int = 0, high: int = 2**32) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _wrong(name, f"an integer between {low} and {high}", value, at)
    return value


def _known(name: str, value: Any, fields: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value, at)
    for field in value:
        if field not in fields:
            raise ApiError(
                _code(name), f"Unknown field `{field}` inside `.{name}{at}`: expected one of {_list(fields)}"
            )
    return value


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _typo_tolerance(name: str, value: Any) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for field, given in _known(name, value, DEFAULTS[name]).items():
        if given is None:
            checked[field] = copy.deepcopy(DEFAULTS[name][field])
        elif field in ("enabled", "disableOnNumbers"):
            checked[field] = _boolean(name, given, f".{field}")
        elif field == "minWordSizeForTypos":
            defaults = DEFAULTS[name][field]
            sizes = _known(name, given, defaults, f".{field}")
            checked[field] = {
                key: _count(name, defaults[key] if size is None else size, f".{field}.{key}", high=255)
                for key, size in sizes.items()
            }
        else:
            checked[field] = _string_set(name, given, f".{field}")
    return checked


def _faceting(name: str, value: Any) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for field, given in _known(name, value, DEFAULTS[name]).items():
        if given is None:
            checked[field] = copy.deepcopy(DEFAULTS[name][field])
        elif field == "maxValuesPerFacet":
            checked[field] = _count(name, given, f".{field}")
        elif isinstance(given, dict) and all(order in ("alpha", "count") for order in given.values()):
            checked[field] = given
        else:
            raise _wrong(name, "an object whose values are `alpha` or `count`", given, f".{field}")
    return checked


def _pagination(name: str, value: Any) -> dict[str, Any]:
    given = _known(name, value, DEFAULTS[name]).get("maxTotalHits")
    return copy.deepcopy(DEFAULTS[name]) if given is None else {"maxTotalHits": _count(name, given, ".maxTotalHits", 1)}


def _prefix_search(name: str, value: Any) -> str:
    if value not in ("indexingTime", "disabled"):
        raise _wrong(name, "`indexingTime` or `disabled`", value)
    return str(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "displayedAttributes": _strings,
    "searchableAttributes": _strings,
    "filterableAttributes": _filterable,
    "sortableAttributes": _string_set,
    "rankingRules": _ranking_rules,
    "stopWords": _string_set,
    "synonyms": _synonyms,
    "distinctAttribute": _distinct,
    "typoTolerance": _typo_tolerance,
    "faceting": _faceting,
    "pagination": _pagination,
    "facetSearch": _boolean,
    "prefixSearch": _prefix_search,
}


def check(update: Any) -> dict[str, Any]:
    """An update as a client sends it, checked; None stands for the default. ApiError names what is wrong."""
    if not isinstance(update, dict):
        raise ApiError("bad_request", f"Invalid value type: expected an object, but found: `{update!r}`")
    checked: dict[str, Any] = {}
    for name, value in update.items():
        if name not in DEFAULTS:
            raise ApiError("bad_request", f"Unknown field `{name}`: expected one of {_list(DEFAULTS)}")
        if value is None or (name in _REFUSED and value == DEFAULTS[name]):
            checked[name] = None
        elif name in _REFUSED:
            raise not_served(f"The setting `{name}`")
        else:
            checked[name] = _CHECKS[name](name, value)
    return checked


def merge(stored: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as stored after a checked update. ApiError when the parts do not fit."""
    merged = dict(stored)
    for name, value in update.items():
        if value is None:
            merged.pop(name, None)
        elif name in _MERGED:
            merged[name] = {**merged.get(name, {}), **value}
            sizes = {**stored.get(name, {}).get("minWordSizeForTypos", {}), **value.get("minWordSizeForTypos", {})}
            if sizes:
                merged[name]["minWordSizeForTypos"] = sizes
        else:
            merged[name] = value
    sizes = effective(merged)["typoTolerance"]["minWordSizeForTypos"]
    if sizes["oneTypo"] > sizes["twoTypos"]:
        raise ApiError(
            "invalid_settings_typo_tolerance",
            "`minWordSizeForTypos` setting is invalid. `oneTypo` and `twoTypos` fields should be between `0` and "
            f"`255`, and `twoTypos` should be greater or equals to `oneTypo` but found `oneTypo: {sizes['oneTypo']}` "
            f"and twoTypos: {sizes['twoTypos']}`.",
        )
    return merged


def effective(stored: Mapping[str, Any]) -> dict[str, Any]:
    """All settings in force: what was set over the defaults."""
    settings = copy.deepcopy(DEFAULTS)
    for name, value in stored.items():
        if name == "typoTolerance":
            sizes = {**settings[name]["minWordSizeForTypos"], **value.get("minWordSizeForTypos", {})}
            settings[name] = {**settings[name], **value, "minWordSizeForTypos": sizes}
        elif name in _MERGED:
            settings[name] = {**settings[name], **value}
        else:
            settings[name] = value
    return settings


def typo_rules(settings: Mapping[str, Any]) -> TypoRules:
    """The typo rules of settings in force."""
    tolerance = settings["typoTolerance"]
    return TypoRules(
        enabled=tolerance["enabled"],
        one_from=tolerance["minWordSizeForTypos"]["oneTypo"],
        two_from=tolerance["minWordSizeForTypos"]["twoTypos"],
        exact_words=frozenset(word for text in tolerance["disableOnWords"] for word in words(text)),
        numbers=not tolerance["disableOnNumbers"],
    )
