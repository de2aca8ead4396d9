"""Who plays: headliner, support and festival out of the names and titles that sources give; and whether it happened.

artist      one act, unless words or signs of a bill part it: 'A feat. B', 'A + B + C', 'A Band + B Band'
title       the signs of a bill part it ('A + B', 'A, B C & D', 'A / B', 'A mit B'), its tail goes: tours, dates, notes
'&'         one name. Two where the bill knows a half of it by itself, or where the tour is a co-headline tour;
            `matchers.text.names` holds the halves either way
festival    no act: the bill plays; it stays the act where no bill is given
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from matchers.places import known
from matchers.refused import LONGEST, Refusal, kind_of
from matchers.shows import which_show
from matchers.text import (
    clean,
    featured,
    fold,
    is_compound,
    is_either_side,
    is_tribute,
    names,
    own_name,
    without_qualifiers,
    without_tour,
)
from schemas.listing import Act, Role, Status
from schemas.rejection import Reason

# -- status -----------------------------------------------------------------------------------------------------------

_CANCELLED = (
    r"cancell?ed|annull?ed|annulliert|cancell?ations?|cancell?ing|abgesagt|absage|entf[aä]llt|ausgefallen|called off"
    r"|scrapped"
    r"|cancelad[oa]s?|anulad[oa]s?|suspendid[oa]s?|annul[ée]{1,2}s?|annull?at[oaie]|cancellat[oaie]|afgelast"
    r"|geannuleerd|findet (?:leider )?nicht statt|kann (?:leider )?nicht stattfinden|entfallen"
    r"|muss (?:leider )?ausfallen"
    r"|(?:does|do|will|did) not take place|won't take place|not taking place|f[aä]llt (?:leider )?aus"
    r"|(?:公演|開催|演出|공연 ?)?(?:已?取消|取り消し|取りやめ|中止|취소(?:됨|되었습니다)?)(?:のお知らせ)?"
    r"|ακυρώ(?:θηκε|νεται)|ματαιώ(?:θηκε|νεται)|בוטל"
    r"|aflyst|avlyst|inst[aä]ll[dt]a?|peruttu|odwo[łl]an[aeoy]|zru[šs]en[ao]?|elmarad|iptal|отмен[её]н\w*|отменяется"
)
_POSTPONED = (
    r"postponed|postponement|postpones|on hold|verschoben|adiad[oa]s?|aplazad[oa]s?|pospuest[oa]s?|report[ée]{1,2}s?"
    r"|rinviat[oaie]|uitgesteld|udskudt|udsat|utsatt"
    r"|uppskjut\w+|framflyttad|siirretty|prze[łl]o[żz]on[aey]|odlo[žz]en[ao]?"
    r"|(?:wird|werden) (?:\w+ )?nachgeholt|nachgeholt wird|скасован\w*|αναβ(?:λήθηκε|άλλεται)|נדחה"
    r"|(?:公演|開催|演出|공연 ?)?(?:已?延期|연기(?:됨|되었습니다)?)(?:のお知らせ)?"
    r"|elhalasztva|ertelendi|delayed|перенос\w*|перенес[её]н\w*|until further notice|auf unbestimmte zeit"
    r"|verlegt auf (?:unbekannt|unbestimmt)|(?:wird )?verlegt[^|]{0,20}neuer termin:? ?(?:tba|folgt|steht noch)"
)
_MOVED = (
    r"rescheduled|(?:re)?moved (?:to|from|online|venue)|moved|relocated|(?:hoch|vor|um)?verlegt|verplaatst"
    r"|venue changed?"
    r"|change of venue|new venue|upgraded|trasladad[oa]|reprogramad[oa]s?|remarcad[oa]|transferid[oa]"
    r"|d[ée]plac[ée]{1,2}"
    r"|spostat[oa]|flyttad|flyttet|new date|neuer termin|neue location|nuova data|nueva fecha|nova data|nouvelle date"
)
_HAPPENED = (
    r"happened|past|played|took place|ended|completed|finished|over|closed|stattgefunden|realizad[oa]|vorbei|geweest"
    r"|terminad[oa]|concluded|archived"
)
_SOLD_OUT = (
    r"sold[ -]?out|ausverkauft|uitverkocht|slutsål[dt]|utsål[dt]|utsolgt|udsolgt|loppuun ?myyty|complet"
    r"|(?:lotação )?esgotad[oa]s?|(?:entradas |localidades )?agotad[oa]s?|(?:tutto )?esaurit[oiae]|wyprzedan[eyao]"
    r"|vyprodán[oaéy]"
)
_ANNOUNCED = (
    rf"announced|scheduled|confirmed|on ?sale|off ?sale|{_SOLD_OUT}"
    r"|active"
    r"|published|live|ok|okay|normal|tentative|contingent|available|upcoming|planned|open|presale|best[aä]tigt"
    r"|confirmad[oa]|confirm[ée]e?|programad[oa]|agendad[oa]|geplant|bevestigd|started|draft|free|few (?:tickets )?left"
    r"|low (?:tickets|availability)|new|limited|public|rsvp|waiting ?list|zusatz\w*|nachholtermin|extra date"
)
_STATUSES = tuple(
    (status, re.compile(rf"(?<!\w)(?:event)?(?:{words})(?!\w)", re.IGNORECASE))
    for status, words in (
        (Status.CANCELLED, _CANCELLED),
        (Status.POSTPONED, _POSTPONED),
        (Status.MOVED, _MOVED),
        (Status.HAPPENED, _HAPPENED),
        (Status.ANNOUNCED, _ANNOUNCED),
    )
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|_")
# 'Not cancelled'; and what is put off by an hour is no other night.
_STANDS = re.compile(
    rf"\b(?:no longer|nicht (?:mehr|länger)|ya no|not|nicht|isn't|un|no|non|niet|ikke|inte|keine?)[ -]?(?:been "
    rf"|wurde )?(?:{_CANCELLED}|{_POSTPONED}"
    rf"|{_MOVED})\b"
    r"|\b(?:einlass|beginn|anfang|uhrzeit|doors|start(?:zeit)?|start time|show ?time|set ?time)\b[^.!|]{0,30}"
    r"\b(?:verschoben|verlegt|ge[äa]ndert|moved|delayed|changed)\b[:!.]?",
    re.IGNORECASE,
)


def told_status(text: str) -> Status | None:
    """What a source's word for an event's fate means, schema.org's names among them; None for an unknown word."""
    words = _STANDS.sub(" announced ", _CAMEL.sub(" ", text[:LONGEST]))
    return next((status for status, pattern in _STATUSES if pattern.search(words)), None)


def read_status(text: str | None, songs: tuple[str, ...], *notes: str | None) -> Status:
    """A source's word for it; songs prove that it happened.

    `notes` of title and artist (`status_of_title`) count where the word says no more than that it was announced: people
    write into titles what no form has a field for. An unknown word says nothing: `told_status` tells that it is one.
    """
    for told in (text, *notes):
        status = told_status(told) if told else None
        if status not in (None, Status.ANNOUNCED):
            return status
    return Status.HAPPENED if songs else Status.ANNOUNCED


# A note stands apart from the name: before or after it, with a sign between; and no band is cancelled by its name.
_LEADING_WORDS = (
    r"(?:(?:leider|wird|wurde|heute|erneut|nochmals?|nun|jetzt|nur|show|konzert|event|gig|concert|has been|was|is|now"
    r"|unfortunately|sadly|endg[üu]ltig|wegen krankheit|krankheitsbedingt|due to illness)\s+){0,4}"
)
_TICKETS = rf"(?:{_SOLD_OUT})!*|few tickets left|restkarten|warteliste"
_EXTRA = (
    r"zusatz(?:show|konzert|termin)|extra(?: ?show| ?konzert)|nachholtermin|second show|neu(?=:)|new(?=:)|tipp(?=:)"
)
_NOTE = rf"{_LEADING_WORDS}(?P<note>{_CANCELLED}|{_POSTPONED}|{_MOVED}|{_TICKETS}|{_EXTRA})"
_FOLLOWS = (
    r"(?=\s*(?:$|[|()\[\]【】（）:!.,;/*–—-]|(?:to|from|due|until|till|on|auf|ins|in|im|nach|vom|von|aus|wegen|bis|naar"
    r"|til|al|au|para"
    r"|pour|por|and|und|neuer|new|\d)(?!\w)))"
)
_NOTE_AFTER = re.compile(
    rf"(?:(?<![|/*•!])[|/*•!]++|(?<=\s)[-–—:]++|[(\[【（]|:(?=\s))\s*+{_NOTE}{_FOLLOWS}[^|)\]】）]*[)\]】）]?",
    re.IGNORECASE,
)
_NOTE_BEFORE = re.compile(
    rf"[\W_]*+{_NOTE}(?:[^|:!)\]】）]{{0,30}}?(?:\s*[:!|)\]】）*]+|\s+[-–—]+))\s*(?=\w)", re.IGNORECASE
)
_MOVED_BEFORE = re.compile(
    r"(?P<note>(?:wird |wurde )?(?:hoch|vor)?verlegt "
    r"(?:auf (?:den )?(?:unbekannt|unbestimmte zeit|\d{1,2}\.\s?\d{1,2}\.(?:\d{4}|\d\d)?)|(?:ins?|in (?:den|die"
    r"|das)) \S+))"
    r"[:!]?\s+(?=\w)",
    re.IGNORECASE,
)
_SOLD_OUT_SHOUTED = (
    r"SOLD[ -]?OUT|AUSVERKAUFT|UITVERKOCHT|SLUTSÅLT|UTSÅLT|UTSOLGT|UDSOLGT|LOPPUUNMYYTY|COMPLET|ESGOTADO"
    r"|(?:ENTRADAS )?AGOTAD(?:O|AS)|(?:TUTTO )?ESAURITO|WYPRZEDANE|VYPRODÁNO"
)
_SHOUTED = re.compile(
    rf"(?P<note>CANCELL?ED|ABGESAGT|POSTPONED|VERSCHOBEN|RESCHEDULED|MOVED|VERLEGT|{_SOLD_OUT_SHOUTED}|CANCELADO"
    r"|ANNULÉ)"
    r"\s+(?=\w[^a-z]*[a-z])"
)
_SHOUTED_AFTER = re.compile(
    r"(?<=[a-zß-öø-ÿ]) +(?P<note>CANCELL?ED|ABGESAGT|POSTPONED|VERSCHOBEN|RESCHEDULED|VERLEGT|CANCELADO|ANNULÉ"
    rf"|AFGELAST|{_SOLD_OUT_SHOUTED})!*$"
)
# A participle that leads a name written with a capital: 'Abgesagt Son Mieux'. 'Moved' and 'Complet' lead names.
_BARE_BEFORE = re.compile(
    r"[\W_]*(?i:(?P<note>abgesagt|verschoben|(?:hoch|vor)?verlegt|entf[äa]llt|ausverkauft|cancell?ed|postponed"
    r"|rescheduled|annul[ée]e?s?|report[ée]e?s?|cancelad[oa]s?|anulad[oa]s?|aplazad[oa]s?|suspendid[oa]s?|adiad[oa]s?"
    r"|(?:lotação )?esgotad[oa]s?|(?:entradas |localidades )?agotad[oa]s?|(?:tutto )?esaurito"
    r"|annullat[oaie]|rinviat[oaie]|afgelast|geannuleerd|uitgesteld|verplaatst|uitverkocht"
    r"|aflyst|avlyst|udsolgt|utsolgt|(?:slut|ut)sål[dt]|inställ[dt]|uppskjut\w+|peruttu|loppuunmyyty|odwołan[eyao]|wyprzedan[eya]"
    r"|zrušen[oa]?|vyprodáno|отмен[её]н\w*|перенес[её]н\w*|取消|中止|延期|취소|연기))"
    r"\s+(?!(?i:auf|ins?|im|nach|vo[nm]|aus|wegen|bis|wird|to|from|due|by|until|till|at|of|and|und|en|et|y|naar|tot|van"
    r"|til|al?|au|à|para|pour|por|the|tour|show|concert|konzert)\b)(?=[^\W_a-zß-öø-ÿ])"
)
_BEFORE = re.compile(rf"[\W_]*(?:{_NOTE})|einlass|beginn|doors|start", re.IGNORECASE)
_HOUR_BEFORE = re.compile(
    r"(?:einlass|beginn|doors|start)\b[^!:|]{0,40}\b(?:verschoben|verlegt|ge[äa]ndert|changed|moved)[!:]\s*(?=\w)",
    re.IGNORECASE,
)


@lru_cache(maxsize=65_536)
def without_notes(text: str) -> tuple[str, str | None]:
    """A title without 'Abgesagt:', '(cancelled)', '| Verlegt auf den 20.01.26', 'Sold out!'; and the fate it tells."""
    if len(text) > _LONGEST_TITLE:
        return text, None
    note = None
    for _ in range(3):
        found = _NOTE_BEFORE.match(text) or _MOVED_BEFORE.match(text) or _SHOUTED.match(text)
        found = found or _BARE_BEFORE.match(text) or _SHOUTED_AFTER.search(text)
        hour = None if found else _HOUR_BEFORE.match(text)
        found = found or _NOTE_AFTER.search(text)
        if hour:
            left = text[hour.end() :]
        elif found:
            left = (text[: found.start()] + " " + text[found.end() :]).strip(" |-–—:*")
        else:
            break
        if not fold(left):
            break
        if found and not hour and told_status(found["note"]) not in (None, Status.ANNOUNCED):
            note = note or found.group().strip(" |([)]-–—:*!/•")
        text = " ".join(left.split())
    return text, note


def status_of_title(title: str | None) -> str | None:
    """'Amber Falcon - Tour 2025 | Abgesagt', 'CANCELLED: Amber Falcon': the note, for `read_status`.

    Only what stands apart, so that no band is cancelled by its name.
    """
    return without_notes(clean(title))[1] if title else None


# -- names of a list --------------------------------------------------------------------------------------------------

_LONGEST_TITLE = 400
"""Characters: a longer one is a text; it is kept whole."""

# 'And others', as lists end in many languages: written so that no name is, and in words.
_OTHERS_SHORT = (
    r"m\. ?fl\.?|mfl\.?|o\. ?fl\.?|[ueao]\. ?a\.?|a\. ?o\.?|m\. ?m\.?|[ue]\. ?v\. ?[am]\.?|uvm\.?|et al\.?|etc\.?"
)
_OTHERS_IN_WORDS = (
    r"(?:(?:and|und|et|y|i|e|og|och|en|ja|a|o|és) (?:many |viele |många |mange |veel |muchos |wiele |molti |muitos )?"
    r"(?:more|others|weitere|mehr|andere|plus|autres|más|otros|inni|innych|altri|outros|mais|flere|fler|andre|andra"
    r"|mere|meer|anderen|muut|muita|další|mások)"
    r"|[&+] ?(?:many )?(?:more|others|weitere|mehr|autres|más|otros|inni|altri|outros|flere|fler|mere|meer))"
)
_OTHERS_BEHIND = re.compile(
    rf"[\s,+&/;|]+(?:{_OTHERS_SHORT})[\s)]*$|(?<=\S)(?:\s*[,+&/;|]+\s*|\s+)(?:{_OTHERS_IN_WORDS})[\s.!…]*$",
    re.IGNORECASE,
)
_SHORT_END = re.compile(rf"(?:{_OTHERS_SHORT})[\s)]*$", re.IGNORECASE)
_LONGEST_END = 40
"""Characters of 'and others', with what stands around it."""
_LIST_SIGN = re.compile(r"[,+&/;|•]")


def without_others(text: str) -> str:
    """'Moths, Lamps m.fl.' without its end. In words only of a list: a single name may end in them."""
    found = _OTHERS_BEHIND.search(text, max(0, len(text) - _LONGEST_END))
    if found is None or not fold(text[: found.start()]):
        return text
    left = text[: found.start()].rstrip(" ,+&/;|")
    return left if _SHORT_END.search(found.group()) or _LIST_SIGN.search(left) else text


# No act, whatever stands there: guests to come, prices, doors.
_NO_ACT = re.compile(
    r"(?:(?:und |and |plus |\+ ?|& ?|mit |with |our |local )*(?:very |more |weitere[nr]? |viele |many |several "
    r"|secret |tba )*"
    r"(?:speciai?l? guests?|guests?|g[aä]ste?|support(?: acts?| act)?|supports|more|mehr|m ?o ?r ?e|others|bands"
    r"|openers?"
    r"|opening acts?|friends|freunde|dj-?s?|concert|konzert|concierto|live ?music)"
    r"(?: (?:tba|tbc|folgt|follows|to be announced|bands))?"
    r"|(?:\d{1,2}|one|two|three|zwei|drei) (?:(?:special|local) )?(?:supports?|guests?|g[aä]ste|bands?|acts?|openers?"
    r"|djs?)"
    r"(?: acts?| bands?)?|(?-i:to|and|und|mit|with|from|von|vom|by|bis|feat|et|avec)"
    r"|\d* ?(?:weitere|more)(?: bands?| acts?)?|viele weitere.*|u\.?v\.?m\.?|uvm|etc\.?"
    rf"|{_OTHERS_SHORT}|{_OTHERS_IN_WORDS}"
    r"|tb[acd]|t\.b\.a\.?|n/?a|to be (?:announced|confirmed)|wird (?:noch )?bekannt ?gegeben|coming soon|sold[ -]?out"
    r"|.*\b(?:eintritt|abendkasse|einlass|ausverkauft|vvk|beginn|tickets?|presale|door(?:s|s open)?:? \d.*)\b.*"
    r"|.*(?:\btour|\w-tour|akustiktour)(?: (?:19|20)\d\d)?|(?:live|konzert|concert)(?: (?:19|20)\d\d)?"
    r"|various artists|diverse|aftershow(?: ?party)?|support:?)[\s.!?:…\"“”]*$",
    re.IGNORECASE,
)
# What a support field says besides: where, for whom, by whom. Whole segments of it.
_ANNOUNCEMENT = re.compile(
    r"(?:pr[äa]sentiert von|presented by|veranstalter|promoter|organi[sz](?:ed|iert)|in kooperation|in cooperation"
    r"|im rahmen|(?:hoch|vor)?verlegt (?:ins?|auf|nach))\b"
    r"|.*(?:\bfindet\b.*\bstatt\b|g[üu]ltigkeit|altersbeschr|age restriction|freigegeben|\babgesagt werden"
    r"|\bstattfinden"
    r"|verlegt (?:vom|von|aus)\b|im anschluss|https?://|www\.|\binkl\.|bestuhlt|platzwahl|reservier|ermäßigt|€"
    r"|\bkommt\b"
    r"|\bkommen\b|\bneue[sm]? album|\bnew album|\bauf (?:\w+-?)?tour\b|\bpräsentiert|\bpresents\b)",
    re.IGNORECASE,
)
_SENTENCE_WORDS = 9
_LEAD = re.compile(
    r"(?:(?:\+|&|and|und|plus|with|mit)?\s*(?:(?:very )?speciai?l? guests?|supports?(?: acts?| by| from)?|guests?"
    r"|openers?"
    r"|opening acts?|with|mit|plus|feat\.?|featuring|dj-?support|line[ -]?up|live on stage|bands?|acts?)\.?\s*[:+]\s*"
    r"|(?:neu|new|jetzt|now)(?: \w+){0,3}? (?:line[ -]?up|dabei|added|dazu|bill)\s*:"
    r"|(?:\+|&|and|und|plus|with|w/|mit|avec)\s*(?:(?:very )?special guests?"
    r"|supports?(?: acts?)?)(?! lesbiens\b)(?= \S)"
    r"|(?:very )?special guests?(?= \S)"
    r"|mit(?= [A-Z])|feat\.(?= )|[+&,;/|•·*–-]+)\s*",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*(?:[,;|•·\n]|\s\+|\+\s|\s/{1,2}\s|\s[-–—]\s)\s*")
_LAST_OF_LIST = re.compile(
    r"\s+(?:&|and|und|y|et|e|och|og)\s+(?!(?:the|die|his|her|their|los|las|les)\b|(?:band|friends)\s*$)", re.I
)
# One name with a comma in it: the list may grow by the row.
_ONE_NAME = re.compile(
    r"tyler, the creator|earth, wind (?:&|and) fire|emerson, lake (?:&|and) palmer|crosby, stills(?:,)? (?:&|and) nash"
    r"|crosby, stills, nash (?:&|and) young|blood, sweat (?:&|and) tears|peter, paul (?:&|and) mary"
    r"|kitty, daisy (?:&|and) lewis|now, now|me, mom (?:&|and) morgentaler|black country, new road|bob, the drag queen"
    r"|dave dee, dozy, beaky, mick (?:&|and) tich|nothing,? ?nowhere|oh, sleeper|does it offend you, yeah"
    r"|the sea, the sea"
    r"|medeski, martin (?:&|and) wood|good, the bad (?:&|and) the queen|overhead, the albatross"
    r"|\d{1,3},\d{3}\b|, (?:jr|sr|md|ph\.?d|esq|iii?|iv)\b\.?",
    re.IGNORECASE,
)
_COMMA = "\ue000"
_BRACKETS = re.compile(r"\([^()]{0,80}\)")


def read_names(fields: Mapping[str, Any], name: str, *, split: bool = True) -> list[str]:
    """Names given as an array or as one text ('A, B + C')."""
    value = fields.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        parts = _split(without_others(clean(value))) if split else [clean(value)]
    elif isinstance(value, list | tuple):
        parts = [clean(part) for part in value if isinstance(part, str)]
    else:
        raise Refusal(Reason.WRONG_TYPE, f"{name}: an array of names or text was expected, not {kind_of(value)}")
    if not split:
        return [part for part in parts if 0 < len(part) <= LONGEST]
    tidy = [act for part in parts if len(part) <= LONGEST for act in _acts_of(part)]
    return [part for part in tidy if part and not _NO_ACT.match(part)]


def _split(text: str) -> list[str]:
    """A list written as one text."""
    parts: list[str] = []
    for segment in text.split("|"):
        if _ANNOUNCEMENT.match(segment.strip()):
            continue
        guarded = _guarded(segment)
        listed = [part.replace(_COMMA, ",") for part in _LIST.split(guarded) if part.strip()]
        if any(map(_is_sentence, listed)):
            listed = [part for part in listed if "+" in segment and not _is_sentence(part)]  # prose has commas, too
        elif len(listed) > 1 and segment.count(",") == len(listed) - 1 and " & " not in "".join(listed[:-1]):
            listed[-1:] = _LAST_OF_LIST.split(listed[-1])
        parts += listed
    return parts


def _guarded(text: str) -> str:
    """With the commas that part no names out of the way: in brackets, in one name."""
    text = _BRACKETS.sub(lambda found: found.group().replace(",", _COMMA), text) if "(" in text else text
    return _ONE_NAME.sub(lambda found: found.group().replace(",", _COMMA), text)


def _is_sentence(text: str) -> bool:
    count = text.count(" ") + 1 if " & " not in text else 1
    return count >= _SENTENCE_WORDS or (count >= 6 and text.rstrip().endswith((".", "!", "…")))


def _acts_of(text: str, depth: int = 9) -> list[str]:
    """One item of a list: without its lead, its notes, what it is and where from; guests of its own after it."""
    bare = without_notes(_LEAD.sub("", text, count=1) if _LEAD.match(text) else text)[0].strip(" ,;+|")
    bare = without_others(bare)
    if _JUBILEE.match(bare):
        return []
    head, along = featured(bare)
    acts = [without_qualifiers(name) for name in (head, *_each(along))]
    if acts == [text] or not depth:
        return acts
    return [act for name in acts for act in _acts_of(name, depth - 1)]


_JUBILEE = re.compile(r"\d{1,3} (?:jahre|years of)\b", re.IGNORECASE)  # a hall's, or the headliner's own
_PERSON = r"[^\W\d_][\w.'’-]+(?: [^\W\d_][\w.'’-]*){1,2}"
_TWO_PEOPLE = re.compile(rf"({_PERSON}) (?:&|and|und) (?!(?:the|die|his|her|their|los|las|les)\b)({_PERSON})", re.I)


def _each(guests: Iterable[str]) -> list[str]:
    """Who plays along, one by one: 'Tony Scherer & Rudy Royston' are two, 'Simon & Garfunkel' one name."""
    pairs = ((guest, _TWO_PEOPLE.fullmatch(guest)) for guest in guests)
    return [name for guest, two in pairs for name in (two.groups() if two else (guest,))]


# -- festivals --------------------------------------------------------------------------------------------------------

_YEARS = re.compile(r"\s*[-–(,]?\s*(?:\b(?:19|20)\d\d(?:[/|](?:19|20)?\d\d)?|(?<=\s)['’]\d\d)\b\)?\s*$")
_DAY_OF = re.compile(
    r"\s+(?:[-–—]\s+)?(?:(?:day|tag|dag|jour|d[ií]a) (?:\d+|one|two|three)|(?:fri|satur|sun|thurs)day"
    r"|freitag|samstag|sonntag)$",
    re.IGNORECASE,
)
_FESTIVAL = re.compile(
    r"\b(?:\w*festival(?:en|i)?|festiwal|festspiele|open[ -]?air(?! (?:kino|cinema))|weekender|all[ -]?dayer"
    r"|metal meeting|(?:kultur|musik|jazz|blues|folk)tage"
    # What ends in -fest: a feast, but for the words that do.
    r"|(?!mani|fels|wetter|trink|stand|hand|bibel|feuer|sattel|krisen|wasser|sturm|kugel|con)\w{3,}fest)\b"
    r"|(?<=\w )fest\b",
    re.IGNORECASE,
)
# fmt: off
_FESTIVALS = frozenset(
    ["coachella", "lollapalooza", "glastonbury", "lowlands", "pinkpop", "roskilde", "bonnaroo", "primavera sound",
     "primavera sound porto", "nos primavera sound", "rock am ring", "rock im park", "rock in rio", "wacken",
     "rock in rio lisboa", "sziget", "tomorrowland", "benicassim", "nos alive", "optimus alive",
     "super bock super rock",
     "paredes de coura", "vodafone paredes de coura", "meo sudoeste", "vilar de mouros", "rock werchter", "pukkelpop",
     "graspop", "reading and leeds", "all points east", "isle of wight", "t in park", "t in the park", "trnsmt",
     "way out west", "provinssirock", "ruisrock", "hellfest", "eurockeennes", "vieilles charrues", "rock en seine",
     "solidays", "les ardentes", "ardentes", "paleo", "nova rock", "novarock", "chiemsee summer", "chiemsee rocks",
     "haldern pop", "deichbrand", "with full force", "summer breeze", "taubertal", "mad cool", "bilbao bbk live",
     "bbk live", "azkena rock", "austin city limits", "south by southwest", "sxsw", "outside lands",
     "electric daisy carnival", "governors ball", "riot fest", "warped tour", "vans warped tour", "ozzfest",
     "lilith fair", "woodstock", "big day out", "splendour in grass", "splendour in the grass", "fuji rock",
     "summer sonic", "rock al parque", "vive latino", "corona capital", "estereo picnic", "off festival", "opener",
     "colours of ostrava", "rock for people", "bumbershoot", "monsters of rock", "desert trip", "stagecoach",
     "electric forest", "bestival", "end of road", "end of the road", "bloodstock", "copenhell", "sweden rock",
     "tollwood", "le guess who", "eurosonic", "eurosonic noorderslag", "north sea jazz", "umbria jazz",
     "jazz a vienne", "rockharz", "zermatt unplugged", "wacken open air", "tons of rock", "oya",
     "sonar", "pohoda", "positivus", "montreux jazz", "donauinselfest", "gurten", "mera luna"]
)
_WITH_A_YEAR = frozenset(
    ["hurricane", "southside", "download", "reading", "leeds", "latitude", "frequency", "fusion", "ultra", "exit",
     "movement", "soundwave", "field day", "flow", "melt", "green man", "highfield", "splash", "laneway", "falls",
     "volt", "dour", "sasquatch", "pitchfork", "resurrection", "creamfields", "wireless", "parklife", "boardmasters",
     "immergut", "bizarre", "edc", "acl", "main square", "v", "garbicz", "dekmantel", "awakenings", "defqon 1"]
)
# fmt: on
"""Well-known ones, folded; those of the second list are acts, too, and need their year."""


def festival_name(text: str, bill: int = 0) -> str | None:
    """'Lowlands 2014' -> 'Lowlands'; None for what is no festival's name.

    A single word that ends in -fest needs its year, or two names on its bill: Trollfest is a band.
    """
    bare = _YEARS.sub("", _DAY_OF.sub("", text)).strip()
    folded = fold(bare)
    if folded in _FESTIVALS or (bare != text and folded in _WITH_A_YEAR):
        return bare
    if not folded or not _FESTIVAL.search(bare) or (bill < 2 and bare == text and _ONE_WORD.fullmatch(bare)):
        return None
    return bare


_ONE_WORD = re.compile(r"\w+fest", re.IGNORECASE)

# -- the bill ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Billing:
    """The acts of one event, headliner first, the festival it belongs to, and the tour that its title tells."""

    acts: tuple[Act, ...]
    festival: str | None = None
    tour: str | None = None
    note: str | None = None
    """What the artist's field says of the event's fate; a title's is `status_of_title`."""
    show: str | None = None
    """'early show' or 'late show', where artist or title tells one from another of the same night."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A name or title taken apart; `headline` holds at least one name."""

    headline: tuple[str, ...]
    support: tuple[str, ...] = ()
    festival: str | None = None
    tour: str | None = None
    note: str | None = None


def billing(artist: str | None, title: str | None, support: list[str], mbid: UUID | None) -> Billing:
    """The acts, headliner first; without an artist the title tells who plays."""
    if artist is not None:
        parsed = parse_artist(artist, support)
    elif title is not None:
        parsed = parse_title(title, support)
        mbid = None
    else:
        raise Refusal(Reason.NO_ARTIST, "artist: a listing needs it, or a title")
    headliners, others, festival = list(parsed.headline), [*parsed.support, *support], parsed.festival
    while True:
        named = [name for name in headliners if _is_named(name)]
        held = next((name for name in named if name == festival or festival_name(name)), None)
        if held is not None and (others or any(name != held for name in named)):
            # A festival is no act: the bill plays.
            festival = festival or festival_name(held)
            headliners, mbid = [name for name in named if name != held], None
        elif named or not others:
            break
        if not headliners or not named:
            # Whoever comes next heads the bill of a festival or of "TBA".
            promoted = parse_artist(others[0])
            headliners, others, mbid = list(promoted.headline), [*promoted.support, *others[1:]], None
    if not named:
        told = f"{'title' if artist is None else 'artist'}: {headliners[0][:200]!r} names nobody"
        raise Refusal(Reason.NO_ARTIST, told)
    for _ in range(3):
        # As whoever reads the listing again will: by the names beside the first.
        beside = tuple(name for name in (*named[1:], *others) if fold(name) != fold(named[0]))
        parsed_again = parse_artist(named[0], beside)
        if parsed_again.headline == (named[0],):
            break
        named[:1] = parsed_again.headline
        others = [*parsed_again.support, *others]
    acts: dict[str, Act] = {}
    for index, name in enumerate(named[:1] + [name for name in named[1:] if not _NO_ACT.match(name)]):
        acts.setdefault(fold(name), Act(name=name, role=Role.HEADLINE, mbid=mbid if index == 0 else None))
    # "Amber Falcon - Long Road Tour" heads a bill that lists Amber Falcon.
    heads = {fold(name) for headliner in named for name in names(headliner)[:2]}
    heads |= {fold(festival)} if festival else set()
    for name in others:
        if _is_named(name) and fold(name) not in heads and not _NO_ACT.match(name):
            acts.setdefault(fold(name), Act(name=name, role=Role.SUPPORT))
    return Billing(tuple(acts.values()), festival, parsed.tour, parsed.note, _show(artist, title))


def _show(*texts: str | None) -> str | None:
    told = {which for text in texts if text and (which := which_show(text))}
    return f"{told.pop()} show" if len(told) == 1 else None


# Whole names that stand for nobody. 'Diverse' and 'Private Function' are acts.
_NOBODY = re.compile(
    r"various (?:artists?|acts|bands|djs)|v ?/ ?a|v\. ?a\.|(?-i:diverse)|(?:diverse|verschiedene) (?:k[üu]nstler"
    r"|bands|acts"
    r"|interpreten|djs)|v[aá]rios artistas|artistes divers|artisti vari|diverse artiesten|n\. ?n\.?|n ?/ ?n"
    r"|(?:private?|closed) (?:event|party|hire)|closed for (?:a )?private (?:event|party|function)"
    r"|geschlossene (?:gesellschaft|veranstaltung)|privat(?:e )?(?:veranstaltung|feier)|priv[eé] evenement"
    r"|soir[eé]e priv[eé]e|evento privado|evento privato"
    r"|(?:very )?(?:special|secret|surprise|mystery) (?:guests?|headliners?|(?:support )?acts?|bands?)(?: tb[ac])?"
    r"|[üu]berraschungs(?:gast|g[äa]ste|act|band)|(?:headliner|line-?up|artist|support)s?:? (?:tb[acd]|folgt"
    r"|to be announced)",
    re.IGNORECASE,
)


def _is_named(name: str) -> bool:
    return known(name) is not None and bool(fold(name)) and not _NOBODY.fullmatch(name)


def parse_artist(artist: str, bill: Iterable[str] = ()) -> Parsed:
    """What a source gives as the artist: as a rule one act; `bill` are the names beside it.

    'Peter Gabriel feat. Sinéad O'Connor' are two, 'Justice (DJ Set)' is Justice, 'Amber Falcon - Long Road Tour' has a
    tour. Parsing its headline again changes nothing.
    """
    return _parse(artist, tuple(bill), title=False)


@lru_cache(maxsize=65_536)
def _parse(text: str, bill: tuple[str, ...], *, title: bool) -> Parsed:
    """Cached: a source shows its events again and again."""
    listed = {fold(name): name for name in bill}
    return _settled((_title if title else _artist)(without_others(text), listed))


def _settled(parsed: Parsed, depth: int = 4) -> Parsed:
    """With names that parsing leaves as they are."""
    heads: list[str] = []
    support = list(parsed.support)
    festival, tour, note = parsed.festival, parsed.tour, parsed.note
    for name in parsed.headline:
        inner = _alone(name)
        if inner.headline == (name,) or not depth:
            heads.append(name)
            continue
        inner = _settled(inner, depth - 1)
        heads += inner.headline
        support += inner.support
        festival, tour, note = festival or inner.festival, tour or inner.tour, note or inner.note
    heads[1:] = [act for name in heads[1:] for act in _acts_of(name) if act]
    support = [act for name in support for act in _acts_of(name) if act and not _NO_ACT.match(act)]
    return Parsed(tuple(heads), tuple(support), festival, tour, note)


@lru_cache(maxsize=65_536)
def _alone(name: str) -> Parsed:
    return _artist(name, {})


def _artist(artist: str, listed: Mapping[str, str]) -> Parsed:
    if len(artist) > _LONGEST_TITLE:
        return Parsed((artist,))
    text = " ".join(artist.split())
    noted = _BEFORE.match(text) or _BARE_BEFORE.match(text) or _SHOUTED_AFTER.search(text)
    if not is_compound(text) and "!" not in text and "*" not in text and not noted:
        festival = festival_name(text)  # a plain name: nothing to take apart
        return Parsed((festival or text,), festival=festival)
    text, note = without_notes(text)
    if is_tribute(text):
        return Parsed((_tribute(text),), note=note)
    if (presented := _PROMOTED.match(text) or _LABEL.match(text)) and fold(text[presented.end() :]):
        text = text[presented.end() :]
    if any(map(festival_name, _SEGMENT.split(text)[::2])) and _SEGMENT.search(text):
        held = _title(text, listed)  # 'Jazzfest Berlin: The Art Ensemble of Chicago'
        return Parsed(held.headline, held.support, held.festival, held.tour, note)
    festival = festival_name(text)
    if festival is not None:
        return Parsed((festival,), festival=festival, note=note)
    head, along = featured(text)
    along = tuple(_each(along))
    name, tour = _bare(head, plays=False)
    found = tuple(_parts(name, set(listed), title=False)) or (name,)
    parts = tuple(part for part in found if not _NO_ACT.match(part)) or found[:1]
    return Parsed(parts, tuple(act for other in along for act in _playing(_bare(other)[0], listed)), None, tour, note)


def _bare(text: str, *, plays: bool = True) -> tuple[str, str | None]:
    """A name without qualifiers and tour."""
    tour = None
    for _ in range(4):
        name, found = without_tour(without_qualifiers(_OPEN_END.sub("", text)), plays=plays)
        tour = tour or found
        if name == text:
            break
        text = name
    return text, tour


_OPEN_END = re.compile(r"\s+[-–—:|+&,]+$")


def _tribute(text: str) -> str:
    """A tribute's own name; else all that tells that it is one."""
    own = own_name(text)
    if own is not None:
        return _bare(own)[0]
    kept = without_qualifiers(text)
    for pattern in (_TAIL_OF_TRIBUTE, _YEARS):
        shorter = pattern.sub("", kept).strip()
        if fold(shorter) and is_tribute(shorter):
            kept = shorter
    return kept


_TAIL_OF_TRIBUTE = re.compile(
    r"\s+[-–—|]\s+(?:live|tour|show|konzert|open air)?\s*(?:19|20)?\d*$|\s*\|[^|]*$", re.IGNORECASE
)

# Who presents and does not play: firms, magazines and stations. 'Kelvin Jones presents: MUPANI' may be either.
_PROMOTED = re.compile(
    r"(?:(?:[^:|]{1,40}?[ -])??(?:(?:booking|concerts?|konzerte?|konzertagentur|konzertb[üu]ro|konzertdirektion"
    r"|agentur|agency"
    r"|promotions?|productions?|produktion(?:en)?|produ[cç][oõ]es|producciones|entertainment|events?|records|magazine?"
    r"|radio|fm|touring|veranstaltungen|touren|kulturverein|kulturamt|e\.? ?v\.?)"
    r"|live nation|aeg|fkp scorpio|goldenvoice|goodlive|karsten jahnke|mct|semmel|marek lieberberg|dhp family|sjm"
    r"|kilimanjaro|mojo|greenhouse talent|gracia live|all artists|propeller music|landstreicher|trinity music|bowery"
    r"|another planet|nederlander|rock antenne|metal hammer|rolling stone|visions|musikexpress|kerrang!?|nme|bbc|mtv"
    r"|arte|rockpalast|eventim|ticketmaster)(?: [\w.]+)?)"
    r"\s(?:presents?|pres\.|pr[äa]sentier(?:t|en)|presentan?|pr[ée]sentent?|apresentam?|presenteert)(?:\s*:)?\s+(?=\S)",
    re.IGNORECASE,
)

# What a field for names says before one: 'Lesung: Wladimir Kaminer', 'Ersatztermin: Blur'.
_LABEL = re.compile(
    r"(?:\w*lesung|reading|buchvorstellung|\w*konzert\w*|kon[cs]ert\w*|concert[oi]?s?|conciertos?|ciclo [^:|]{1,40}"
    r"|ersatz\w+|nachhol\w+|zusatz\w+|early show|late show|supports?|special guests?):\s+(?=\S)",
    re.IGNORECASE,
)

# -- titles -----------------------------------------------------------------------------------------------------------

_SEGMENT = re.compile(r"(\s+(?:[-–—]{1,2}|//)\s+|\s+@\s*|:\s+|\s*+\|++\s*+|\s+[-–—](?=[\"'„“‚‘»(]))")
_DAYS = (
    r"mo(?:n(?:day|tag)?)?|di(?:enstag)?|mi(?:ttwoch)?|do(?:nnerstag)?|fr(?:i(?:day)?|eitag)?|sa(?:t(?:urday)?|mstag)?"
    r"|so(?:nntag)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs(?:day)?)?|sun(?:day)?"
)
_MONTHS = (
    r"jan(?:uary|uar)?|feb(?:ruary|ruar)?|m[aä]r(?:ch|z)?|apr(?:il)?|ma[iy]|jun[ei]?|jul[iy]?|aug(?:ust)?"
    r"|sept?(?:ember)?"
    r"|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?"
)
_JUST_WHEN = re.compile(
    rf"(?:(?:am|on|the|vom|bis|und|&|uhr|pm|h|{_DAYS}|{_MONTHS}|st|nd|rd|th)\b|[\W\d])*"
    r"|(?:tag|day|night|show|part|teil) \w+|season opening|extended|(?:live )?(?:konzert|concert)(?: \d+)?",
    re.IGNORECASE,
)
# A row of evenings, before a colon: who plays comes after it.
_SERIES = re.compile(
    r"\b(?:\w*konzert\w*|concert[oi]?s?|conciertos?|kon[cs]ert\w*|lesung\w*|autorenlesung|buchvorstellung|ciclo|cycle"
    r"|temporada|stagione|rassegna|saison|season|ersatz\w+|nachhol\w+|zusatz\w+|pr[äa]sentiert|presents|supports"
    r"|early show|late show|reading|talk|workshop|masterclass|live|festival\w*|fest|\w*woche|\w*tage|\w*nacht"
    r"|session\w*|series|reihe|nights?"
    r"|party|special"
    r"|halloween|silvester|matin[eé]e|open stage|salon|club|ritt|benefi[zt]\w*|support|(?:aus)?verkauft|opening"
    r"|warm ?up|showcase|sommer\w*|summer\w*|winter\w*|xmas|weihnacht\w*|edition|vol\.? \w+)\b|(?:#\d+|\b(?:19"
    r"|20)\d\d)$",
    re.IGNORECASE,
)
_OWN_EVENT = re.compile(
    r"\b(?:releas\w+|albums?|ep|\w*tour(?:nee)?|anniversary|jahre|years|jubiläum\w*|unplugged|acoustic|akustisch"
    r"|best of)\b"
    r"|^(?:live|konzert\w*|show\w*|party|solo|trio|duo|quartett?|a night of|ein|a)\b",
    re.IGNORECASE,
)
_TOUR_WORD = re.compile(r"\btour\b", re.IGNORECASE)
_TOUR_TITLE = re.compile(
    r"\b\w*tour(?:n[eé]e|nee)?\b|\bgira\b|\bturn[eê]\b|anniversary|farewell|residency", re.IGNORECASE
)
_DESCRIBES = re.compile(r"(?:the|das|der|die|ein|an?|el|la|le|\d+)\b", re.IGNORECASE)
_GUESTS = re.compile(
    r"[\s+&,|(–—-]*\b(?:(?:very )?special guests?|supports?|support acts?|openers?)\s*:\s*(?P<who>[^|()]+)\)?",
    re.IGNORECASE,
)
_SHARED_TOUR = re.compile(
    r"\b(?:co-?headline\w*|double[ -]?(?:bill|header|headline\w*)|doppel\w+|split tour)\b", re.IGNORECASE
)
_PRESENTER = re.compile(
    r"[^:|]{1,80}?\s(?:presents?|pres\.|pr[äa]sentier(?:t|en)|presentan?|pr[ée]sentent?|apresentam?|presenteert)"
    r"(?:\s*:)?\s+(?=\S)",
    re.IGNORECASE,
)
_ALONG = re.compile(
    r"\s+(?:w/|mit|avec|con|com|with(?! the\b)|feat\.?|ft\.?|featuring)\s+"
    r"(?!(?:the|his|her|their|band|orch\w+|ensemble|chor|choir|quartett?|trio|freund\w*|friends|sack|special"
    r"|neuem?|kind|dem|der|den|you|me|us|love|a|an)\b)",
    re.IGNORECASE,
)
_PLUS = re.compile(r"\s++\+\s*+|\s*+\+\s++|\s+//\s+|\s*[;•·\n]\s*")
_PLUS_IN_BRACKETS = re.compile(r"[(\[]\s*[+&]")
_PLUS_BAND = re.compile(r"(?:\S+ ){0,2}\S+\s*\+\s*(?:(?:the|die|thee|los|his|her)\b|band\s*$)[^+]*", re.IGNORECASE)
_SLASH = re.compile(r"\s+/\s+")
_AMPERSAND = re.compile(r"\s+(?:&|and|und|y|et|e|och|og)\s+", re.IGNORECASE)
_LAST = re.compile(r"\s*,?\s+(?:&|and|und|y|et|e|och|og)\s+", re.IGNORECASE)
_BACK_UP = re.compile(
    r"\s(?:&|\+|and|und|y|et|e|och|og)\s+(?:the|die|thee|los|las|les|his|her|their|seine?|ihre?)\s", re.IGNORECASE
)
_CROSS = re.compile(r"\s+(?:x|×|vs\.?|versus)\s+", re.IGNORECASE)


def parse_title(title: str, bill: Iterable[str] = ()) -> Parsed:
    """Who plays, by an event's title; `bill` are the names given beside it.

    'Copper Moth + Slow Tide | Summer Nights 2025' -> the two; 'Northfest 2025' -> a festival; what follows a dash is a
    tour: 'Amber Falcon - Long Road Tour 2026'.
    """
    return _parse(title, tuple(bill), title=True)


def _title(title: str, listed: Mapping[str, str]) -> Parsed:
    if len(title) > _LONGEST_TITLE:
        return Parsed((title,))
    text, note = without_notes(" ".join(title.split()))
    whole = text
    if presented := _PRESENTER.match(text):
        text = text[presented.end() :]
    if is_tribute(text):
        return Parsed((_tribute(text),), note=note)
    guests: list[str] = []
    if (asked := _GUESTS.search(text)) and fold(text[: asked.start()]):
        guests = _playing(asked["who"], listed)
        text = text[: asked.start()] + " " + text[asked.end() :]
    pieces = _SEGMENT.split(text.strip())
    segments = [segment.strip() for segment in pieces[::2]]
    colon = len(pieces) > 1 and pieces[1].startswith(":")
    held = next((index for index, one in enumerate(segments) if festival_name(one, len(listed))), None)
    if held is not None and not (held and any(map(_TOUR_WORD.search, segments))):
        played = _festival_of(segments, held, listed, note, colon=colon)
        return Parsed(played.headline, tuple(guests), played.festival, None, note)
    signs = [sign.strip() for sign in pieces[1::2]]
    first, *tail = _without_series(segments, signs, listed, colon=colon)
    if colon and [first, *tail] == segments and _is_either(first, *tail, listed=listed):
        return Parsed((f"{first}: {tail[0]}",), tuple(guests), None, None, note)
    for index, segment in enumerate(tail):
        tail[index], along = featured(segment)
        guests += [act for name in along for act in _playing(_bare(name)[0], listed)]
    tour = " - ".join(segment for segment in tail if _TOUR_TITLE.search(segment)) or None
    found = next((segment for segment in (first, *tail) if fold(segment) in listed), None)
    if found is not None:
        return Parsed(tuple(_joined(listed[fold(found)], set(listed), shared=False)), tuple(guests), None, tour, note)
    shared = bool(_SHARED_TOUR.search(text))
    heads: list[str] = []
    if _PLUS_IN_BRACKETS.search(first):  # 'Blur (+ Clinic)', 'Blur (+ Supports)'
        first, along = featured(without_qualifiers(first))
        guests[:0] = [act for name in along for act in _playing(_bare(name)[0], listed)]
    for part in [first] if _PLUS_BAND.fullmatch(first) else _PLUS.split(first):
        name, tail_of_name, others = _taken_apart(part)
        tour = tour or tail_of_name
        heads += [_bare(act)[0] for act in _parts(name, set(listed), title=True, shared=shared)]
        guests[:0] = [act for other in others for act in _playing(_bare(other)[0], listed)]
    playing = [act for act in heads if act and not _NO_ACT.match(act)]
    if len(playing) == 1 and (spelled := _as_listed(playing[0], listed)):
        playing = [spelled]
    return Parsed(tuple(playing) or (heads[0] if heads else whole,), tuple(guests), None, tour, note)


def _without_series(segments: list[str], signs: list[str], listed: Mapping[str, str], *, colon: bool) -> list[str]:
    """The segments from the one that plays on, without those that only say when."""
    kept = [
        segment
        for index, segment in enumerate(segments)
        if fold(segment) and (index == 0 or not _JUST_WHEN.fullmatch(segment))
    ] or segments[:1]
    if len(kept) < 2:
        return kept
    first, second, *others = kept
    if not any(map(_OWN_EVENT.search, kept)) and not any(map(_SERIES.search, kept[1:])):
        if colon and len(others) > 1:
            return ["; ".join(kept[1:])]  # 'Sound of Nashville: A | B | C'
        if set(signs) == {"//"} or (set(signs) == {"|"} and len(kept) > 2):
            return ["; ".join(kept)]  # 'A // B', 'A | B | C'
    if (colon and _comes_after(first, second, listed)) or (second.count(" + ") > 1 and not _is_list(first)):
        return [second, *others]
    return kept


def _taken_apart(text: str) -> tuple[str, str | None, list[str]]:
    """A name, the tour that is glued to it, and who comes along: 'A feat. B', 'A mit B'."""
    first, along = featured(without_qualifiers(text))
    first = without_qualifiers(first)
    first, *others = _ALONG.split(first) if _takes_along(first) else [first]
    name, tour = _bare(first)
    return name, tour, _each([*others, *along])


def _comes_after(series: str, name: str, listed: Mapping[str, str]) -> bool:
    """Whether what follows the colon plays: 'Konzertwoche: Seda', 'Spaghetti Night: A + B'; not 'A: Album'."""
    if fold(name) in listed:
        return True
    if fold(series) in listed or _OWN_EVENT.search(name):
        return False
    listing = _is_list(name) or bool(_SLASH.search(name))
    return (listing and not _is_list(series)) or bool(_SERIES.search(series))


def _is_either(before: str, after: str = "", *others: str, listed: Mapping[str, str]) -> bool:
    """A colon alone tells nobody who plays, 'Marmion: Nightline': kept whole, `matchers.text.names` holds both."""
    if not after or others or any(fold(side) in listed for side in (before, after)) or not after[:1].isalnum():
        return False
    words = (_OWN_EVENT, _TOUR_TITLE, _SERIES, _PLUS, _SLASH, _CROSS)
    plain = not any(pattern.search(after) for pattern in words) and after.count(" ") < 5 and before.count(" ") < 5
    return plain and "," not in after and not _is_list(before) and is_either_side(f"{before}: {after}")


def _takes_along(text: str) -> bool:
    """'with' is a word of names ('Argue with Mom'); after two words or more it is a bill's."""
    found = _ALONG.search(text)
    if found is None:
        return False
    return found.group().strip().casefold() != "with" or " " in text[: found.start()].strip()


def _as_listed(name: str, listed: Mapping[str, str]) -> str | None:
    """The bill repeats its headliner, the title adds to it: 'Amber Falcon Long Road'."""
    folded = fold(name) + " "
    fitting = [
        written
        for key, written in listed.items()
        if len(key) > 2 and folded.startswith(key + " ") and not folded[len(key) + 1 :].startswith("and ")
    ]
    return max(fitting, key=lambda written: (len(fold(written)), written), default=None)


def _festival_of(
    segments: list[str], index: int, listed: Mapping[str, str], note: str | None, *, colon: bool
) -> Parsed:
    """The festival of one segment; who plays by the others where they are names, by the bill else."""
    head, *along = _ALONG.split(segments[index])
    festival = festival_name(head, len(listed)) or head
    if along:
        playing = [act for name in along for act in _playing(_bare(name)[0], listed)]
        return Parsed(tuple(playing) or (festival,), (), festival, None, note)
    if index and fold(segments[0]) and (colon or _DESCRIBES.match(segments[index])) and not _is_list(segments[0]):
        # 'Tanzt! 2025 - Das Mittelalter-Festival'
        festival = _YEARS.sub("", segments[0]).strip() or segments[0]
        return Parsed((festival,), (), festival, None, note)
    others = [segment for place, segment in enumerate(segments) if place != index and fold(segment)]
    others = [segment for segment in others if not _JUST_WHEN.fullmatch(segment)]
    if others and (index or colon or _is_list(others[0]) or fold(others[0]) in listed):
        playing = _playing(_bare(others[0])[0], listed)
        if playing and (index or not _OWN_EVENT.search(others[0])):
            return Parsed(tuple(playing), (), festival, None, note)
    return Parsed((festival,), (), festival, None, note)


def _is_list(text: str) -> bool:
    return bool(_PLUS.search(text)) or text.count(",") > 1


def _playing(text: str, listed: Mapping[str, str]) -> list[str]:
    return [part for part in _parts(text, set(listed), title=True) if not _NO_ACT.match(part)]


def _parts(text: str, listed: set[str], *, title: bool, shared: bool = False) -> list[str]:
    """The acts that signs part: '+' and '/' between names, a list with commas; in a title, 'x' and 'vs.' as well.

    As an artist a list has three, but for '+'. One name: known pairs ('Brick + Mortar'), a band at somebody's
    back ('Mike + The Mechanics'), single words before '&' ('Earth, Wind & Fire'), one name in two scripts.
    """
    if fold(text) in listed:
        return _joined(text, listed, shared=shared)
    parts = [text] if _PLUS_BAND.fullmatch(text) else _PLUS.split(text)
    if not title and len(parts) == 2 and (_ONE_PAIR.fullmatch(text) or any(len(fold(part)) < 2 for part in parts)):
        parts = [text]
    parts = [half for part in parts for half in _slashed(part, title=title)]
    parts = [item for part in parts for item in _commas(part, listed, title=title)]
    if title:
        parts = [half for part in parts for half in _crossed(part)]
    parts = [half for part in parts for half in _joined(part, listed, shared=shared)]
    return [tidy for part in parts if (tidy := part.strip(" ,+/;")) and fold(tidy)]


# One name with a plus in it: the list may grow by the row.
_ONE_PAIR = re.compile(
    r"brick \+ mortar|yamantaka // sonic titan|dan \+ shay|maddie \+ tae|matt \+ kim|iron \+ wine|hall \+ oates"
    r"|she \+ him"
    r"|simon \+ garfunkel|sonny \+ cher|chase \+ status|above \+ beyond|tegan \+ sara|sam \+ dave|belle \+ sebastian"
    r"|kruder \+ dorfmeister|angus \+ julia stone|ike \+ tina turner|aly \+ fila|sly \+ robbie|chas \+ dave"
    r"|zager \+ evans"
    r"|\S+ \+ (?:sons?|daughters?|brothers?|sisters?|co\.?|company|family|friends|machines?|lovers?)",
    re.IGNORECASE,
)


def _slashed(text: str, *, title: bool) -> list[str]:
    halves = _SLASH.split(text)
    if len(halves) == 2 and (not title or _script(halves[0]) != _script(halves[1])):
        return [halves[0] if _script(halves[0]) != _script(halves[1]) else text]
    return halves


def _script(text: str) -> str:
    """Of its first letter: LATIN, CYRILLIC, ..."""
    return next((unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha()), "")


def _commas(text: str, listed: set[str], *, title: bool) -> list[str]:
    if "," not in text:
        return [text]
    guarded = _guarded(text)
    items = [item.strip() for item in guarded.split(",")]
    if len(items) == 1:
        return [text]
    ends = _LAST.split(items[-1]) if not _BACK_UP.search(items[-1]) else [items[-1]]
    known_items = sum(fold(item) in listed for item in (*items, *ends))
    if len(ends) > 1 and all(" " not in item for item in (*items[:-1], *ends)) and not known_items:
        return [text]  # 'Earth, Wind & Fire'
    if len(items) == 2 and len(ends) == 1 and not known_items and (not title or _is_one(items)):
        return [text]
    last = ends if len(ends) == 2 and ends[0] else [items[-1].removeprefix("& ").removeprefix("and ")]
    return [item.replace(_COMMA, ",") for item in (*items[:-1], *last)]


def _is_one(items: list[str]) -> bool:
    """'Lumen, der Minister', 'Oh, Sleeper', 'Now, Now'."""
    first, second = items
    return (
        len(first) < 4
        or fold(first) == fold(second)
        or re.match(r"(?:the|der|die|das|el|la|le|los|les|of|and|und|&)\b", second, re.IGNORECASE) is not None
        or _BACK_UP.search(second) is not None
        or second.endswith(("?", "!"))
        or second[:1].islower()
    )


def _crossed(text: str) -> list[str]:
    """'Logan Mize X Tim Hicks' are two, 'Girls vs. Boys' and 'Biba X Factor' one."""
    halves = _CROSS.split(text)
    if len(halves) > 1 and (any(" " in half.strip() for half in halves) or re.search(r"\s[x×]\s", text)):
        return halves
    return [text]


def _joined(text: str, listed: set[str], *, shared: bool) -> list[str]:
    """'A & B' is one name, unless the bill knows a half of it or the tour is a shared one."""
    halves = _AMPERSAND.split(text)
    if len(halves) == 1 or _BACK_UP.search(text) or is_tribute(text):
        return [text]
    if (shared and len(halves) == 2) or any(len(fold(half)) > 2 and fold(half) in listed for half in halves):
        return [tidy for half in halves if (tidy := half.strip(" ,+/;")) and fold(tidy)]
    return [text]
