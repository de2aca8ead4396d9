"""One way to fold text, and what follows from it: squashed, skeleton, tokens, deletions; and the names within a name.

fold        'Sigur Rós ' -> 'sigur ros'             equality
squash      'The Wonder Stuff' -> 'wonderstuff'     equality but for spaces and joining words
skeleton    'Metalica', 'Metallica' -> 'mtlk'       what is left when vowels and doubled letters may be wrong
deletions   'lucius' -> 'lucius', 'ucius', 'lcius'  two names that are a slip apart share one
names       'A feat. B' -> 'A feat. B', 'A', 'B'    every name that may be meant
"""

import html
import re
import unicodedata
from functools import lru_cache
from itertools import combinations

from rapidfuzz.distance import OSA

FOLD_VERSION = "3"
"""Goes up with every change of `fold`: keys in stores were made with one version."""

# -- characters -------------------------------------------------------------------------------------------------------

# Letters that Unicode does not decompose.
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŋ": "n"}
_LETTERS |= {"ə": "e", "ŧ": "t", "ɨ": "i", "ʉ": "u", "ƶ": "z", "ĸ": "k", "ɔ": "o", "ɛ": "e"}
_APOSTROPHES = "'’‘‛`´ʼʻ′"
# Marks that only dress a letter: accents, Hebrew and Arabic vowels, selectors of a glyph's shape, a key's frame.
_DRESS = (
    (0x0300, 0x036F),
    (0x0591, 0x05C7),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20F0),
    (0xFE00, 0xFE0F),
    (0xE0100, 0xE01EF),
)
# Seen by nobody: soft hyphen, joiners, directions, byte order marks, tags; the Arabic stretch.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u0640\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\U000e0000-\U000e007f]+"
)
_SELECTORS = re.compile("[\ufe00-\ufe0f]+")


class _Table(dict[int, str]):
    """Character by character, worked out when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    if character in _APOSTROPHES or _UNSEEN.match(character):
        return ""
    if character in "&+＆＋":
        return " and "
    if character in "™℠":
        return " "
    if character in "йЙ":  # a letter of its own; elsewhere the marks of Cyrillic go as those of Latin do
        return "й"
    if character == "€":  # 'S€x'; as a price it is in no name
        return "e"
    if any(first <= ord(character) <= last for first, last in _DRESS):
        return ""
    kept = []
    for part in unicodedata.normalize("NFKD", character.casefold()):
        part = _LETTERS.get(part, part)
        if any(first <= ord(part[0]) <= last for first, last in _DRESS):
            continue
        kept.append(part if unicodedata.category(part[0])[0] in "LNM" else " ")
    return unicodedata.normalize("NFC", "".join(kept))


_TABLE = _Table()

_ESCAPED = re.compile(r"&(?:amp;)+")  # once, or twice by two programs
_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d{0,2});")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
# The two joiners shape letters of Persian and Hindi and hold emoji together: inside a text they stay.
_EDGE_JOINERS = re.compile("^[\u200c\u200d]+|[\u200c\u200d]+$|(?<=[ -~])[\u200c\u200d]+|[\u200c\u200d]+(?=[ -~])")
_FORMAT = re.compile("[\u00ad\u200b\u200e\u200f\u061c\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]+")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """As a person would have typed it: entities read, nothing invisible, single spaces, composed."""
    if "&" in text:
        text = _ENTITY.sub(_entity, _ESCAPED.sub("&", text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", _FORMAT.sub("", text))
        text = _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()
        return _EDGE_JOINERS.sub("", text).strip() if "\u200c" in text or "\u200d" in text else text
    return " ".join(_CONTROL.sub(" ", text).split())


def _entity(found: re.Match[str]) -> str:
    return html.unescape(found.group())


# -- words ------------------------------------------------------------------------------------------------------------

_THE = frozenset(["the", "thee"])
_ARTICLES = frozenset(
    ["the", "thee", "a", "an", "die", "der", "das", "le", "la", "les", "el", "los", "las", "os", "o", "il", "gli"]
) | frozenset(["de", "het"])
"""English, German, French, Spanish, Portuguese, Italian, Dutch; what is a word in another ('as', 'i') is not."""
_SHORTEST = 4
"""Letters that must be left when an article goes: 'El-P' is not P, 'Das EFX' not EFX, 'A-ha' not Ha."""
_AND = frozenset(["and", "und", "n", "y", "och", "og", "e", "et", "и", "και"])
# fmt: off
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
# fmt: on
_NUMBERS = {word: number for number, word in enumerate(_ONES)} | _TENS
# German, but for those that are words of English ('elf') or articles ('ein').
_NUMBERS |= {"zwei": 2, "drei": 3, "vier": 4, "funf": 5, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9}
_NUMBERS |= {"zehn": 10, "zwolf": 12, "zwoelf": 12}
_POWERS = {"hundred": 100, "thousand": 1000}
# One-letter numerals stay letters: X, V and I are names.
_ROMAN = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12, "xiii": 13, "xiv": 14}
_SPELLED = {"mt": "mount", "ste": "saint", "mister": "mr", "doctor": "dr", "junior": "jr", "bros": "brothers"}
_SPELLED |= {"featuring": "feat", "versus": "vs"}
_WORDS = {word: str(number) for word, number in (_NUMBERS | _ROMAN | _POWERS).items()} | _SPELLED
_WORDS |= {"st": "saint", "sankt": "saint", "ft": "feat"}
_CHANGED = frozenset(_WORDS) | _AND

_ACRONYM_DOT = re.compile(r"(?<=\b\w)\.(?=\w\b|\s|$|[^\w\s])")
_THOUSANDS = re.compile(r"(?<=\d)[.,](?=\d{3}(?!\d))")
# Letters in costume: A$AP, Ke$ha, Bada$$, P!nk, f*ck.
_STYLED = re.compile(r"(?<=[^\W\d_])[$]+|(?<![$])[$]+(?=[^\W\d_])|(?<=\w)!(?=\w)|(?<=\w)[*]+(?=\w)")
_N = re.compile(r"(?<=\w)['’‘´`]n['’‘´`](?=\w)", re.IGNORECASE)
_ARTICLE_LAST = re.compile(r"[,(]\s*([^\W\d_]{1,4})(['’]?)\s*\)?\s*$")


@lru_cache(maxsize=200_000)
def fold(text: str) -> str:
    """'Sigur Rós ' -> 'sigur ros': no case, accents or punctuation, single spaces. Idempotent.

    Besides: & and + are 'and', number words and Roman numerals are digits, an article at the start or after a comma at
    the end goes where a name is left. Other scripts stay as they are. What has no letters at all ('!!!') stays, too.
    """
    folded = fold_once(text)
    if folded.isascii() and folded[:1].isalnum():
        return folded  # settled: see `_settle`
    for _ in range(8):
        again = fold_once(folded)
        if again == folded:
            break
        folded = again
    return folded


def fold_once(text: str) -> str:
    """One pass of `fold`, uncached: for building tables."""
    if not text.isascii():
        if "™" in text:
            text = text.replace("™", " ")
        text = unicodedata.normalize("NFKC", text)
    if "." in text or "," in text:
        text = _THOUSANDS.sub("", _ACRONYM_DOT.sub("", text))
    if "$" in text or "!" in text or "*" in text:
        text = _STYLED.sub(_unstyled, text)
    if "'n" in text or "’n" in text or "'N" in text:
        text = _N.sub(" n ", text)
    if "," in text or text.endswith(")"):
        text = _article_first(text)
    words = text.translate(_TABLE).split()
    settled = _settle(words)
    if settled:
        return " ".join(settled)
    return " ".join(_CONTROL.sub(" ", _UNSEEN.sub("", _SELECTORS.sub("", text.casefold()))).split())


def _unstyled(found: re.Match[str]) -> str:
    character = found.group()[0]
    return "" if character == "*" else ("s" if character == "$" else "i") * len(found.group())


def _article_first(text: str) -> str:
    """'Beatles, The' and 'Ogres (Les)' as they are said."""
    found = _ARTICLE_LAST.search(text, max(0, len(text) - 16))
    if found is None or (found[1].casefold() not in _ARTICLES and not (found[2] and found[1] in "Ll")):
        return text
    if found.group()[0] == "(" and found[1].casefold() in ("de", "an"):  # Germany, for one
        return text
    return found[1] + found[2] + ("" if found[2] else " ") + text[: found.start()]


def _settle(words: list[str]) -> list[str]:
    """Words without 'and' and article at the ends, with numbers as digits; nothing is left to do a second time."""
    first, end = 0, len(words)
    while first < end and words[first] == "and":
        first += 1
    while first < end and words[end - 1] == "and":
        end -= 1
    if first == end:
        return []
    if words[first] in _ARTICLES or words[end - 1] in _THE:
        first, end = _without_articles(words, first, end)
    if first or end < len(words):
        words = words[first:end]
    if _CHANGED.isdisjoint(words):
        return words
    return _respelled(words)


def _without_articles(words: list[str], first: int, end: int) -> tuple[int, int]:
    """'the' goes wherever something is left; another article only where a name is, and no second article follows."""
    while end - first > 1:
        head = words[first]
        if head in _THE or head == "and":
            first += 1
        elif words[end - 1] in _THE or words[end - 1] == "and":
            end -= 1
        elif (
            head in _ARTICLES
            and words[first + 1] not in _ARTICLES
            and (end - first > 2 or len(_WORDS.get(words[first + 1], words[first + 1])) >= _SHORTEST)
        ):
            first += 1
        else:
            break
    return first, end


def _respelled(words: list[str]) -> list[str]:
    last = len(words) - 1
    made: list[str] = []
    tens = False
    for index, word in enumerate(words):
        before = made[-1] if made else ""
        if word in _AND:
            # Between two names; 'The E Street Band' and 'Sheila E.' keep their letter.
            joins = 0 < index < last and before != "and" and before not in _ARTICLES
            made.append("and" if joins or word == "and" else word)
        elif word in _POWERS:
            power = _POWERS[word]
            if before.isdecimal() and len(before) <= 3 and 0 < int(before) < power:
                made[-1] = str(int(before) * power)
            else:
                made.append(str(power))
        elif word == "st" and index == last > 0:
            made.append("street")
        elif word == "ft" and index == 0:
            made.append("fort")
        elif word in _WORDS:
            number = _NUMBERS.get(word, 0)
            if tens and 0 < number < 10:
                made[-1] = str(int(before) + number)
            else:
                made.append(_WORDS[word])
        else:
            made.append(word)
        tens = word in _TENS
    return made


@lru_cache(maxsize=100_000)
def tokens(text: str) -> tuple[str, ...]:
    """The words of the folded text that say something: no 'and', no 'the', no article after 'and'."""
    words = fold(text).split()
    if _SAYING_NOTHING.isdisjoint(words):
        return tuple(words)
    kept = [
        word
        for before, word in zip(("", *words), words, strict=False)
        if word != "and" and word not in _THE and not (before == "and" and word in _ARTICLES)
    ]
    return tuple(kept or words)


_SAYING_NOTHING = _THE | {"and"}
_LEADING_NUMBER = re.compile(r"[1-9]\d?(?![\d.,])")


@lru_cache(maxsize=100_000)
def squash(text: str) -> str:
    """The folded words in one, without articles and 'and': 'Wonderstuff' is 'The Wonder Stuff'.

    A number that leads is spelled: 'OneRepublic' is 'One Republic', '7Seconds' is 'Seven Seconds'.
    """
    whole = "".join(tokens(text))
    if not "0" < whole[:1] <= "9":
        return whole
    found = _LEADING_NUMBER.match(whole)
    return _spell(int(found.group())) + whole[found.end() :] if found else whole


def _spell(number: int) -> str:
    """1 to 99, in one word."""
    if number < 20:
        return _ONES[number]
    return next(word for word, tens in _TENS.items() if tens == number // 10 * 10) + (
        _ONES[number % 10] if number % 10 else ""
    )


@lru_cache(maxsize=100_000)
def skeleton(text: str) -> str:
    """What is heard: consonants, no doubles. 'Grateful Dead' -> 'grtfltd'. Other scripts stay whole.

    Sounds alike in English, German, Spanish and Portuguese: c k q, s z ç, v f ph, d t, b p, j g, a silent h or gh.
    """
    whole = squash(text)
    if not whole.isascii() or len(whole) < 4:
        return whole
    heard = whole
    for written, sound in _SOUNDS:
        if written in heard:
            heard = heard.replace(written, sound)
    heard = _DOUBLED.sub(r"\1", heard)
    kept = heard[0] + _SILENT.sub("", heard[1:])
    return kept if len(kept) > 2 else whole


_SOUNDS = (
    ("ph", "f"),
    ("ght", "t"),
    ("ck", "k"),
    ("sch", "s"),
    ("sh", "s"),
    ("ce", "se"),
    ("ci", "si"),
    ("cy", "si"),
    ("c", "k"),
    ("q", "k"),
    ("x", "ks"),
    ("z", "s"),
    ("v", "f"),
    ("d", "t"),
    ("b", "p"),
    ("j", "g"),
)
_SILENT = re.compile("[aeiouyhw]+")
_DOUBLED = re.compile(r"([a-z])\1+")


@lru_cache(maxsize=50_000)
def initials(text: str) -> str:
    """'Orchestral Manoeuvres in the Dark' -> 'omd', 'Nine Inch Nails' -> 'nin': without the small words."""
    return "".join(_initial(word) for word in tokens(text) if word not in _SMALL)


def _initial(word: str) -> str:
    return _spell(int(word))[0] if word.isascii() and word.isdecimal() and len(word) < 3 and int(word) else word[0]


# fmt: off
_SMALL = frozenset(
    ["of", "in", "on", "at", "a", "an", "de", "da", "do", "dos", "del", "di", "du", "des", "von", "van", "e", "et", "y",
     "for", "to", "with", "la", "le", "les", "el", "los", "die", "der", "das"]
)
# fmt: on

DELETION_LETTERS = 16
"""Of a text, for its deletions: a slip within them costs a deletion on both sides, a later one nothing."""


@lru_cache(maxsize=65_536)
def deletions(text: str, most: int = 1) -> frozenset[str]:
    """The squashed text and what up to `most` lost letters make of its start; two texts `most` slips apart share one.

    Slips are those of `edits` on squashed texts. One loss at most where fewer than 7 letters are left to tell names
    apart, none below 4. At most 1 + 16 of one loss, 137 of two.
    Source  Bocek, Hunt, Stiller: Fast Similarity Search in Large Dictionaries, 2007
    """
    start = squash(text)[:DELETION_LETTERS]
    size = len(start)
    lost = min(most, 0 if size < 4 else 1 if size < 7 else 2)
    return frozenset(
        "".join(letter for index, letter in enumerate(start) if index not in gone)
        for count in range(lost + 1)
        for gone in combinations(range(size), count)
    )


def similarity(one: str, other: str) -> float:
    """1 for equal, 0 for nothing in common: edits and swapped neighbours over the longer length."""
    return float(OSA.normalized_similarity(one, other))


def edits(one: str, other: str, most: int) -> int:
    """Letters left out, put in, changed or swapped; `most` + 1 for more."""
    return int(OSA.distance(one, other, score_cutoff=most))


@lru_cache(maxsize=100_000)
def letters(text: str) -> str:
    """Letters and digits of the text as it stands, articles and all: where a slip may have hit the article."""
    return "".join(character for character in clean(text).casefold() if character.isalnum())


# -- tributes ---------------------------------------------------------------------------------------------------------

_SOMEBODYS = r"(?:the )?(?:music|songs?|hits|works?|sounds?|best|greatest hits|catalog(?:ue)?|repertoire|legacy)"
_TRIBUTE = re.compile(
    # In the languages that occur: a tribute, an homage; 'The Tributes' and 'Attribute' are names.
    r"\b(?:tribut[eo]?|hommage|homage|homenaje|homenagem|omaggio|hyllning|hyldest|eerbetoon|salute to"
    r"|cover[- ]?(?:band|version|show|abend|projekt|project|group|gruppe)|coverband|covers? of"
    r"|tribut\w*(?:band|show|act)"
    r"|in the style of|candlelight(?=:)|performed by|best of british|a night of|(?:queen|abba|beatles)mania|beatlemania"
    rf"|(?:plays?|playing|performs?|performing|sings?|singing|celebrat\w+|covers?) {_SOMEBODYS} (?:of|by)"
    r"|celebrat(?:es?|ing) (?:the )?(?:life|genius|spirit|magic) of"
    r"|the (?:music|songs|hits) of"
    r"|(?:spiel(?:t|en)|sing(?:t|en)|interpretier(?:t|en)|feier(?:t|n)) (?:die )?(?:musik|lieder|songs|hits|werke) von"
    r"|(?:die )?(?:musik|lieder|songs|hits) von"
    r"|(?:jouen?t?|chanten?t?|tocan?m?|cantan?m?|suonan?o?) (?:a |la |las |le |les |os |as )?"
    r"(?:m[uú]sica|musique|chansons|canciones|can[cç][oõ]es|canzoni) d[aeio]s?"
    # 'X Revival' but for the one that is an original; 'Anna and the Revival Band' is one, too.
    r"|(?<!clearwater )(?<!the )revival(?: band| show)?$|revisited$)\b"
    # Of others, not of one's own years.
    r"|\bcelebrating (?!\d|the \d|our\b|\w+ (?:years?|decades?)\b)"
    r"|[-–—:|(] ?the sounds? of\b",
    re.IGNORECASE,
)
# Of each alternative a part, asked for first: three times as fast.
# fmt: off
_HINTS = (
    "tribut", "mage", "homena", "omagg", "hyl", "eerbet", "salute", "cover", "candlelight", "performed", "mania",
    "celebrat", "revival", "revisited", " of", " by", " von", "musi", "músi", "chanso", "canci", "canz", "cançõ",
    "canco",
)
_TRIBUTE_WORDS = frozenset(
    ["tribute", "tributo", "tribut", "hommage", "homage", "band", "show", "a", "an", "to", "of", "by", "von", "cover",
     "covers", "coverband", "cover", "plays", "play", "playing", "performs", "performing", "spielt", "music", "songs",
     "song", "hits", "sound", "sounds", "greatest", "best", "live", "tour", "concert", "konzert", "night", "in", "and",
     "on", "revival", "official", "ultimate", "original", "experience", "years", "jahre", "musik", "lieder", "party"]
)
# fmt: on
# Acts that live on another's name, a letter or a joke away from it: a slip of the pen would make them the original.
# fmt: off
_PUNS = frozenset(
    fold(name)
    for name in (
        "AC/DShe", "Hells Belles", "Björn Again", "The Fab Four", "The Fab Faux", "The Bootleg Beatles",
        "The Mersey Beatles", "The Cavern Beatles", "Beatallica", "The Counterfeit Stones", "The Rolling Stoned",
        "The Iron Maidens", "Bon Giovi", "Fleetwood Bac", "Rumours of Fleetwood Mac", "Guns 2 Roses", "Guns2Roses",
        "Brit Floyd", "Aussie Floyd", "The Australian Pink Floyd", "The Australian Pink Floyd Show", "Think Floyd",
        "Dread Zeppelin", "Lez Zeppelin", "Led Zepplica", "Letz Zep", "Let's Zep", "Zepparella", "Killer Queen",
        "Nearly Dan", "The Smyths", "Noasis", "Oas-is", "Oasish", "Kings ov Leon", "Foo Fighterz", "Fooz Fighters",
        "UK Foo Fighters", "Pearl Jamm", "The Clone Roses", "Stereotonics", "Mandonna", "Antarctic Monkeys",
        "The Killerz", "Coldplace", "Green Haze", "Fake That", "Blink 180 True", "The Cureheads", "Slady",
        "Black Sabbitch", "Brown Sabbath", "Mac Sabbath", "Judas Priestess", "The Ramonas", "Misstallica", "Mytallica",
        "Fan Halen", "Def Repplica", "The Illegal Eagles", "The Australian Bee Gees Show", "Bootleg Blondie",
        "The Kast Off Kinks", "Hollywood U2", "Die Toten Ärzte", "Red Hot Chilli Pipers",
    )
)
# fmt: on
_ORIGINAL = re.compile(r".*\b(?:to|of|von|an|à|a|ao|de|till|til|aan)\s+(.+)$", re.IGNORECASE)
_ONLY_TRIBUTE = re.compile(r"\W*(?:the |a |an )?(?:tribut[eo]?|hommage|homage|revival)\W*$", re.IGNORECASE)


@lru_cache(maxsize=50_000)
def is_tribute(text: str) -> bool:
    """Somebody else playing somebody's songs: never equal to the original.

    Told by the words for it ('A Tribute to', 'plays the music of', 'Coverband'), or a known pun: 'Bon Giovi'. Another
    that only its name gives away is an act like any other.
    """
    text = text[:_PARSED]
    if fold(text) in _PUNS:
        return True
    plain = text.casefold()
    if not any(hint in plain for hint in _HINTS):
        return False
    return bool(_TRIBUTE.search(text)) and not _ONLY_TRIBUTE.match(text)


# -- the names within a name ------------------------------------------------------------------------------------------

_PARSED = 400
"""Characters: a longer text is a bill or a paragraph, and no name is looked for in it."""
MOST_NAMES = 8

# Countries as bills name them, in English, German and their own tongue; and their codes: ISO, and of cars and sports.
_COUNTRY = (
    "england|scotland|wales|ireland|america|canada|germany|austria|switzerland|netherlands|holland|belgium|france|italy"
    "|spain|portugal|brazil|japan|australia|sweden|norway|denmark|finland|iceland|poland|czechia|hungary|russia|ukraine"
    "|greece|turkey|israel|mexico|argentina|chile|colombia|cuba|jamaica|nigeria|mali|korea|china|india|indonesia|croatia"
    "|serbia|romania|bulgaria|lithuania|latvia|estonia|slovakia|slovenia|new zealand|south africa|south korea"
    "|czech republic|united kingdom|united states|deutschland|österreich|schweiz|belgien|niederlande|frankreich|italien"
    "|spanien|brasilien|kanada|australien|neuseeland|schweden|norwegen|dänemark|finnland|island|polen|tschechien|ungarn"
    "|russland|griechenland|türkei|irland|schottland|kroatien|serbien|rumänien|mexiko|sverige|norge|danmark|suomi"
    "|españa|italia|brasil|méxico|polska|alemania|alemanha|francia"
)
_CODE = (
    "uk|us|usa|gb|de|ger|at|aut|ch|sui|nl|ned|be|bel|fr|fra|it|ita|es|esp|pt|por|prt|br|bra|ca|can|jp|jpn|au|aus|nz|ie"
    "|irl|se|swe|no|nor|dk|den|dnk|fi|fin|is|isl|il|isr|pl|pol|cz|cze|hu|hun|ru|rus|ua|ukr|gr|gre|tr|tur|mx|mex|ar|arg"
    "|cl|chl|co|col|za|rsa|kr|kor|cn|chn|in|ind|id|ina|idn|hr|cro|rs|srb|ro|rou|bg|bul|lt|ltu|lv|lva|ee|est|sk|svk|si"
    "|slo|svn|eng|sco|wal|jm|jam|ng|ngr"
)
_ORIGIN = re.compile(
    rf"[A-Z]{{1,3}}(?:[/,&+ -]{{1,3}}[A-Z]{{1,3}}){{0,3}}|(?i:(?:{_CODE})(?: ?[/,&+] ?(?:{_CODE})){{0,3}})"
    rf"|(?i:(?:[^,/]{{1,40}}[,/] ?){{0,2}}(?:{_COUNTRY}|{_CODE}))"
)
_QUALIFIER = (
    r"(?:the )?(?:band|official|offiziell|dj(?:[ -]?set)?|live(?:[ -]?set| band| pa| solo| & acoustic| acoustic)?"
    r"|hybrid set|vinyl set|b2b|acoustic(?: set| duo| trio| show| solo| live)?|akustisch|akustik(?:[ -]?set| live)?"
    r"|ac[uú]stic[oa]|acoustique|unplugged|solo(?: set| acoustic| show| piano| live|[ -]konzert)?"
    r"|full band|stripped(?: back)?"
    r"|in concert|in conc\.|en concert|en concierto|em concerto|in concerto|en vivo|ao vivo|dal vivo|(?:in )?konzert"
    r"|early|late|matin[eé]e|(?:early|late|midnight|afternoon|1st|2nd|3rd|first|third|[123]\.) (?:show|set|performance)"
    r"|second set|zusatz(?:show|konzert|termin)|extra(?: ?show| ?konzert)"
    r"|second show|2nd show"
    r"|(?:show|night|day|tag|part|pt\.?|teil) \d{1,2}|nachholtermin|new date|neuer termin|all ages"
    r"|headline(?:r|[ -]show)?"
    r"|sold[ -]?out|ausverkauft|uitverkocht|complet|esgotado|agotado|tba|tbc|18\+|21\+"
    r"|\d{1,2}\.\d{1,2}\.(?:\d{2,4})?|[^,]{2,30}, [^,]{2,30})"
)
# Guests without a name.
_GUESTS_TO_COME = (
    r"(?:(?:with|w/|mit|avec|con|com|plus|\+|&|und|and|feat\.?|ft\.?) ?)?(?:\d{1,2} )?(?:(?:very )?special |local )?"
    r"(?:guests?|supports?|openers?|g[äa]sten?|more)(?: acts?| bands?)?(?: tba)?"
)
_IN_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")
_QUALIFIED = re.compile(rf"{_QUALIFIER}|{_GUESTS_TO_COME}", re.IGNORECASE)
_SET_APART = re.compile(
    rf"\s*(?:\s[-–—:]|\|)\s*(?i:{_QUALIFIER})(?:[ ,]+(?:19|20)\d\d)?$"
    # Where it cannot be a part of the name: 'Hans Zimmer live', not 'They Live'; 'JOSH. solo', not 'Napoleon Solo'.
    r"|(?i: (?:dj[ -]?set|unplugged|acoustic set|live set|live on stage))$"
    r"|(?<!\blong)(?<!\bthey)(?<!\bwe)(?<!\byou)(?<!\bto)(?<!\blet it)(?<!\bhow)(?<!\bpeople)(?<!^the)(?<=[\w.!])"
    r" (?:live|LIVE)(?: (?:19|20)\d\d)?$"
    r"|(?i:\s+(?:with|w/|mit|plus|\+|&|und|and|feat\.?|ft\.?) (?:\d{1,2} )?(?:(?:very )?special |local )?"
    r"(?:guests?|supports?|g[äa]sten?|more)(?: acts?)?(?: tba)?)$"
    r"|(?i: (?:live )?(?:in concert|en concert|en concierto|in concerto|em concerto|in konzert))$"
    r"| solo$|(?i: (?:[+&]|und|and|mit|with) band)$",
)
_EVENING = re.compile(
    r"(?:(?:an? )?(?:(?:very )?special |acoustic |intimate )?(?:evening|night|audience) with"
    r"|(?:une |una |uma |eine? |een )?(?:soir[eé]e|noche|noite|serata|(?:[\w-]*abend)|avond)"
    r"(?: sp[eé]cial[ea]?| especial| speciale)? (?:avec|con|com|mit|met)"
    r"|\d{1,3} (?:jahre|years of|ans de|años de|anos de|jaar|år)|live(?: in concert| on stage)?:|konzert:|concert:"
    r"|in concert:|en concert ?:|concierto:|concerto:|koncert:|headliner?:)\s+(?=\S)",
    re.IGNORECASE,
)
_FEATURING = re.compile(
    r"\s*[(\[]?(?:(?<=[\s(\[])(?:(?:with|w/|plus|mit|avec|und|and|\+|&) ?"
    r"(?:(?:(?:very )?special |local )guests?:?|supports?(?: acts?)?(?: (?:from|by))?:?(?! lesbiens\b))"
    r"|feat\.?|ft\.?|featuring|w/|special guests?:|supports?:|supported by)\s+"
    r"|(?<=[(\[])(?:plus\s+|[+&]\s*)(?!(?:the|his|her|band|friends|\d+)\b))(?=\S)",
    re.IGNORECASE,
)
_TOUR = re.compile(
    r"\b(?:\w*tour(?:n[eé]e|nee)?|gira|turn[eêé]e?|concerts?|konzerte?|shows?|live|anniversary|jubil[äa]um\w*"
    r"|jahre|years"
    r"|release\w*|residency|farewell|abschied\w*|reunion|world|europe(?:an)?|headline\w*|(?:19|20)\d\d|perform\w*"
    r"|plays?|presents?|unplugged|acoustic|best of|greatest hits|party|special|edition|albums?|anivers[aá]rio)\b",
    re.IGNORECASE,
)
_GLUE = re.compile(r"\s+(?:[-–—]{1,2}|//|::?)\s+|:\s+|\s*\|\s*|\s+[-–—](?=[\"'„“‚‘»(])")
_TOUR_GLUED = re.compile(
    r"\s+(?:(?:the )?(?:\d{1,3}(?:st|nd|rd|th)?|[a-z]+) anniversary"
    r"|(?:the )?(?:final |last )?(?:farewell|world|europe(?:an)?|eu|uk|us|north american?|american|australian|german"
    r"|deutschland|co-?headline|summer|winter|spring|autumn|fall|reunion|abschieds|acoustic|headline|stadium"
    r"|arena|club|live)"
    r"(?:[ /&-]+(?:world|europe(?:an)?|eu|uk|us|headline|club|summer|winter|spring|fall))?)?"
    r"[ -]*\b(?:tour|tournee|tournée)(?: '?(?:\d\d|(?:19|20)\d\d)(?:/\d\d(?:\d\d)?)?)?$",
    re.IGNORECASE,
)
_YEAR_LAST = re.compile(r"[ -]*\b(?:19|20)\d\d$")
_PERFORMS = re.compile(
    r"\s+(?:perform(?:s|ing)|interpreta[mn]?"
    r"|(?:play(?:s|ing)?|spiel(?:t|en)|joue(?:nt)?|tocan?m?)(?=\s+[\"'„“‚‘»]|.*\b(?:in full|in its entirety"
    r"|komplett|live)$))"
    r"\s+(?=\S)",
    re.IGNORECASE,
)
_PLAYS = re.compile(rf"{_PERFORMS.pattern}|\s+(?:plays|spiel(?:t|en)|joue(?:nt)?|tocan?m?)\s+(?=\S)", re.IGNORECASE)
_PRESENTS = re.compile(
    r"\s+(?:presents?|pres\.|pr[äa]sentier(?:t|en)|presentan?|pr[eé]sentent?|apresentam?|presenteert)\s*:?\s+(?=\S)"
    r"|\s+(?:presents?|pr[äa]sentier(?:t|en)):\s*",
    re.IGNORECASE,
)
_WITH = re.compile(
    r"\s+(?:feat\.?|ft\.?|featuring|with|w/|mit|avec|presents|pres\.|vs\.?|versus|x|×|/|//|\+|with special guests?)\s+"
    r"|\s*[;×]\s*",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*(?:,\s*(?:and\b|und\b|&)|[,&+]|\s(?:and|und|y|et|e|och|og)\s)\s*", re.IGNORECASE)
_GENERIC = re.compile(
    r"(?:(?:his|her|their|the|very|many|special|and|jr|sr|world|live|on|in|full|dj|amp) ?)*"
    r"(?:friends?|guests?|support|band|live|solo|more|others|gaste|freunde|amigos|convidados|invitados"
    r""
    r"|orchest(?:ra|re|er)|orquestra|duo|trio|quartett?"
    r"|quintet|tour|concert|tba|his|her|their|the|jr|sr|2|3|dj|amp|set)?"
)
_COMPOUND = re.compile(
    r"[()\[\]|;:/&+×,–—„“\"@]| -|- |(?:19|20)\d\d$"
    r"|\b(?:feat|ft|featuring|with|mit|avec|w|vs|versus|x|and|und|y|et|e|och|og|live|solo|tour|tournee|dj|concert"
    r"|unplugged|evening|night|abend|anniversary|audience|acoustic|plays?|performs?|performing|spielt|spielen|joue"
    r"|jouent|toca[nm]?|interpreta[nm]?|presents?|pres|pr[äa]sentier\w+|presentan?|pr[eé]sentent?|apresentam?"
    r"|presenteert|celebrating|tribut[eo]?|konzert|concierto|concerto|supported|jahre|years of|ans de|años de|anos de"
    r"|jaar|år|con|com|met)\b",
    re.IGNORECASE,
)


def is_compound(text: str) -> bool:
    """Whether there is a sign or a word in it that may part a name from something else."""
    return bool(_COMPOUND.search(text))


def is_either_side(text: str) -> bool:
    """Whether `names` holds both sides of 'X: Y', and neither is a tour's."""
    return without_tour(text)[1] is None and set(_GLUE.split(text)) <= set(names(text))


def is_origin(text: str) -> bool:
    """What stands in brackets to tell a name from its like elsewhere: 'UK', 'nl', 'USA/DE', 'pop punk, Australien'."""
    return text != "DJ" and bool(_ORIGIN.fullmatch(text))


def without_qualifiers(text: str) -> str:
    """'Justice (DJ Set)' -> 'Justice', 'The Wires (UK)' -> 'The Wires', 'An Evening with Low' -> 'Low'.

    Goes: how they play, where they are from, that it is sold out. The name as it stands where nothing would be left.
    """
    if len(text) > _PARSED:
        return text
    for _ in range(6):
        bare = _IN_BRACKETS.sub(_unless_qualifier, text)
        bare = _SET_APART.sub("", _EVENING.sub("", bare, count=1) if _EVENING.match(bare) else bare).strip()
        if bare == text or not fold(bare):
            break
        text = bare
    return text


def _unless_qualifier(found: re.Match[str]) -> str:
    inside = found[1].strip()
    return "" if _QUALIFIED.fullmatch(inside) or is_origin(inside) else found.group()


def without_tour(text: str, *, plays: bool = True) -> tuple[str, str | None]:
    """A name and the tour that is glued to it: 'Amber Falcon - Long Road Tour 2026', 'X performing Album'.

    Only what says that it is a tour, a year, an anniversary: 'peixe : avião' is one name. A bare 'plays' may be part of
    a name ('The Devil Plays Poker'): it counts unless told otherwise.
    """
    if len(text) > _PARSED:
        return text, None
    for found in _GLUE.finditer(text):
        name, tour = text[: found.start()].strip(), text[found.end() :].strip(" -–—|")
        if name and fold(name) and _TOUR.search(tour):
            return name, tour or None
    for pattern in (_TOUR_GLUED, _PLAYS if plays else _PERFORMS):
        if (found_ := pattern.search(text)) and fold(text[: found_.start()]):
            name = text[: found_.start()].strip(" -–—,(")
            if not name or _GENERIC.fullmatch(fold(name)):
                continue
            if pattern is _TOUR_GLUED and len(found_.group().split()) < 2:  # 'Eras Tour' may be a name
                continue
            return name, text[found_.start() :].strip(" ()")
    found_ = _IN_BRACKETS.search(text)
    if found_ and _TOUR.search(found_[1]) and fold(text[: found_.start()]):
        return (text[: found_.start()] + text[found_.end() :]).strip(), found_[1].strip()
    return text, None


def featured(text: str) -> tuple[str, tuple[str, ...]]:
    """'A feat. B & C' -> 'A' and 'B & C': who plays and who plays along, where the words for it stand."""
    head, *others = _FEATURING.split(text[:_PARSED])
    head = head.strip(" ,+&(|-–—")
    if not others or not fold(head):
        return text, ()
    found = (other.strip(" ,+&") for other in others)
    return head, tuple(_balanced(name) for name in found if fold(name))


def _balanced(name: str) -> str:
    """Without a bracket that was opened before it."""
    return name.rstrip(")] ") if name.count("(") < name.count(")") or name.count("[") < name.count("]") else name


@lru_cache(maxsize=100_000)
def names(artist: str) -> tuple[str, ...]:
    """The name as written, then the names that it may hold, the likeliest first; at most 8.

    Without qualifiers and brackets; before a tour; each of 'A feat. B', 'A with B', 'A x B'; last, each half of
    'A & B', which more often is one name. A tribute holds its own name, never the original's.
    """
    if len(artist) > _PARSED or not is_compound(artist):
        return (artist,)
    whole = clean(artist)
    found = {artist: None}
    seen = {fold(artist)}

    def add(name: str) -> None:
        name = name.strip(' ,;:&+/|-–—"„“”')
        if name.count("(") != name.count(")"):
            name = name.strip("() ")
        folded = fold(name)
        if folded and folded not in seen and not _GENERIC.fullmatch(folded) and len(found) < MOST_NAMES:
            seen.add(folded)
            found[name] = None

    if is_tribute(whole):
        own = own_name(whole)
        if own is not None:
            add(own)
        return tuple(found)
    bare = without_qualifiers(whole)
    add(bare)
    head, along = featured(bare)
    name = without_qualifiers(without_tour(head)[0])
    add(name)
    outside = _IN_BRACKETS.sub("", name).strip()
    add(outside)
    add(_YEAR_LAST.sub("", outside))
    add(outside.split(" @", 1)[0])
    parts = [part for part in _GLUE.split(outside) if part]
    add(parts[0] if parts else outside)
    for other in along:
        add(other)
    presented = _PRESENTS.split(outside, maxsplit=1)
    for part in (*presented[1:], *_WITH.split(parts[0] if parts else outside), *parts[1:2]):
        add(part)
    for inside in _IN_BRACKETS.findall(bare):
        if len(inside) > 3 and not _TOUR.search(inside):
            add(inside)
    for part in _WITH.split(parts[0] if parts else outside):
        halves = _JOINED.split(part)
        if len(halves) > 1:
            for half in halves:
                if len(fold(half)) > 1:
                    add(half)
    return tuple(found)


def own_name(tribute: str) -> str | None:
    """What a tribute calls itself: 'Remode' of 'Remode - The Music of Depeche Mode'.

    None where no name but the original's is there: 'Bee Gees - A Tribute Show'; and where it begins like the original.
    """
    for found in (_GLUE.search(tribute), _IN_BRACKETS.search(tribute), _PLAYS.search(tribute)):
        if found is None:
            continue
        left, right = tribute[: found.start()].strip(), tribute[found.start() :]
        if (is_tribute(left) and fold(left) not in _PUNS) or not _TRIBUTE.search(right):
            continue
        said, about = set(tokens(left)), _names_in(right)
        named = _ORIGINAL.search(right)
        original = (_names_in(named[1]) if named else None) or about
        shared = said & about
        if said and original and not (shared and (len(original) == 1 or original <= said or said <= about)):
            return left
    return None


def _names_in(text: str) -> set[str]:
    """The words that are no words of a tribute's."""
    return {word for word in tokens(text) if not word.isdecimal()} - _TRIBUTE_WORDS
