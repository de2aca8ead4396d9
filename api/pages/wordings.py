"""What the readers of imports say of a file, in the words of a page and in the reader's language.

The readers (api.imports) speak English, to programs as to people, with values in the middle of their sentences. Each of
these sentences stands here once more, with what a page says for it; codes have words of their own. A test walks through
the readers' code, so that no sentence is without words; one that is not found all the same stays as it was said.

    {name}      any text          {name:n}     a number         {name:d}    a day        {name:f}    a field's name
    {name!r}    a text, quoted    {name:p}     a percentage     {name:ds}   some days    {name:s}    another sentence
    {name:m}    a moment          {name:w}     a weekday, which the day tells again
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from string import Formatter
from typing import NamedTuple

from api.imports.shapes import Code, Field, Format, Reason, Standing
from api.pages.words import _, day, listed, marked, ngettext, night, number, percent
from schemas.suggestion import Nothing
from schemas.tables import ImportState

REMEDY = ". Remedy: "
"""Between what is wrong and what would help, in a text that says both."""

FIELDS = {
    Field.ARTIST: marked("Artist"),
    Field.DATE: marked("Date"),
    Field.VENUE: marked("Venue"),
    Field.CITY: marked("City"),
    Field.REGION: marked("State or region"),
    Field.COUNTRY: marked("Country"),
    Field.LAT: marked("Latitude"),
    Field.LON: marked("Longitude"),
    Field.TIME: marked("Time"),
    Field.SONGS: marked("Songs"),
    Field.NOTE: marked("Note"),
    Field.WITH: marked("With whom"),
    Field.SUPPORT: marked("Support acts"),
    Field.EVENT: marked("Title of the event"),
    Field.FESTIVAL: marked("Festival"),
    Field.LINK: marked("Link"),
    Field.YEAR: marked("Year"),
    Field.MONTH: marked("Month"),
    Field.DAY: marked("Day"),
}
FORMATS = {
    Format.CSV: marked("Table (CSV)"),
    Format.MARKDOWN: marked("Table (Markdown)"),
    Format.HTML: marked("Web page (HTML)"),
    Format.TEXT: marked("List, a show a line"),
    Format.JSON: marked("JSON"),
    Format.ICALENDAR: marked("Calendar (iCalendar)"),
    Format.SETLISTFM: marked("List from setlist.fm"),
    Format.SONGKICK: marked("List from Songkick"),
    Format.BANDSINTOWN: marked("List from Bandsintown"),
    Format.PHOTOS: marked("Photos"),
    Format.MAIL: marked("Mails"),
    Format.ZIP: marked("Archive (zip)"),
    Format.ROWS: marked("Typed rows"),
}
STATES = {
    ImportState.FETCHING: marked("Being fetched"),
    ImportState.READING: marked("Being read"),
    ImportState.READY: marked("Waits for your yes"),
    ImportState.APPLYING: marked("Being taken in"),
    ImportState.APPLIED: marked("Taken in"),
    ImportState.UNDOING: marked("Being undone"),
    ImportState.UNDONE: marked("Undone"),
    ImportState.FAILED: marked("Did not work"),
}
STANDINGS = {
    Standing.UNDERSTOOD: marked("Understood"),
    Standing.DOUBTFUL: marked("Doubtful"),
    Standing.UNREADABLE: marked("Not readable"),
    Standing.REPEATED: marked("Repeated"),
}
REASONS = {
    Reason.SAYS_NOTHING: marked("Says too little"),
    Reason.BAD_DATE: marked("No such date"),
    Reason.BAD_VALUE: marked("A value does not fit"),
    Reason.BROKEN: marked("Broken"),
    Reason.TOO_LONG: marked("Too long"),
    Reason.NO_SHOW: marked("No show"),
    Reason.NO_TIME: marked("No time"),
    Reason.NO_PLACE: marked("No place"),
    Reason.UNKNOWN_FORMAT: marked("Unknown kind of file"),
}
CODES = {
    Code.TOO_LARGE: marked("That is too large"),
    Code.TOO_MANY_ROWS: marked("That is too much at once"),
    Code.TOO_MANY_PAGES: marked("That is too much at once"),
    Code.EMPTY: marked("There is no show in it"),
    Code.BAD_DOCUMENT: marked("That cannot be read"),
    Code.BAD_MAPPING: marked("That does not fit the file"),
    Code.NOT_A_FILE: marked("That is no file"),
    Code.TOO_SLOW: marked("That takes too long"),
    Code.UNKNOWN_USER: marked("setlist.fm does not know this name"),
    Code.SERVICE_AWAY: marked("setlist.fm is away"),
    Code.QUOTA_USED: marked("setlist.fm answers again tomorrow"),
    Code.GONE: marked("The upload is not kept any more"),
}
ORDERS = {
    "dmy": marked("Day first, 31/12/2014"),
    "mdy": marked("Month first, 12/31/2014"),
    "ymd": marked("Year first, 14/12/31"),
}
NOTHINGS = {
    Nothing.NO_CANDIDATE: (
        marked("No source that Gigz reads knows such a show yet."),
        marked("Gigz goes on looking for it. If the artist, the day or the town is written wrongly, correct it."),
    ),
    Nothing.TOO_WEAK: (
        marked("There are shows a little like it, and none is near enough."),
        marked("The day or the town would help, or another spelling of the artist."),
    ),
    Nothing.NOTHING_TO_GO_BY: (
        marked("It says too little to look for."),
        marked("Write the artist and a date or a place; a year alone is enough."),
    ),
    Nothing.DISMISSED: (
        marked("You said of every show that was found that it is not the one."),
        marked("In the inbox, under decided, this can be undone."),
    ),
    Nothing.UNREADABLE_DATE: (
        marked("The date cannot be read."),
        marked("Write it as 2014-11-14, Nov 2014, or 2014."),
    ),
    Nothing.TOO_MANY: (
        marked("Too many shows fit."),
        marked("The day, the year or the town would tell which one it was."),
    ),
    Nothing.TAKEN: (
        marked("The show that fits is the answer to another line of yours already."),
        marked("If you were there twice, add the day; if it stands twice, nothing is missing."),
    ),
    Nothing.ENTRY_DELETED: (
        marked("It is not in your history any more."),
        marked("Import it again to look for it."),
    ),
}
"""Why nothing was found for an entry, and what would help."""

SENTENCES: tuple[tuple[str, str], ...] = (
    # -- what is doubtful about a row
    ("it repeats; only its first night is taken", marked("It repeats; only its first night is taken.")),
    ("no word of it says that it was a show", marked("Not a word in it says that it was a show.")),
    ("it has no date", marked("It has no date.")),
    ("it does not say who played", marked("It does not say who played.")),
    (
        "what stands for the date is too long to be one: {written!r}...",
        marked("What stands for the date is too long to be one: “%(written)s…”"),
    ),
    ("{written!r} is no date that could be read", marked("“%(written)s” is no date that could be read.")),
    (
        "{written!r}: the weekday is not that day's; {day:d} is a {weekday:w}",
        marked("“%(written)s”: the weekday does not belong to the day, which is %(day)s."),
    ),
    ("{written!r} could be {days:ds}", marked("“%(written)s” could be %(days)s.")),
    (
        "{written!r} is not in the order of the other dates; it can only be {day:d}",
        marked("“%(written)s” is not in the order of the other dates; it can only be %(day)s."),
    ),
    (
        "its note has {long:n} characters; the first {most:n} are kept",
        marked("Its note has %(long)s characters; the first %(most)s are kept."),
    ),
    ("it was read from the words of the mail", marked("It was read from the words of the mail; have a look at it.")),
    (
        "the mail announces it and does not say that a ticket was bought",
        marked("The mail announces it, and does not say that a ticket was bought."),
    ),
    ("the photos were taken by day", marked("The photos were taken by day.")),
    # -- why a row cannot be read
    ("it is encrypted", marked("It is locked with a password.")),
    ("it cannot be unpacked: {error}", marked("It cannot be unpacked: %(error)s")),
    ("it is an archive in an archive", marked("It is an archive within the archive.")),
    (
        "the event cannot be read: it has no END:VEVENT",
        marked("The event cannot be read: it has no end (END:VEVENT)."),
    ),
    (
        "the event cannot be read: it has more than {most:n} lines",
        marked("The event cannot be read: it has more than %(most)s lines."),
    ),
    ("the event cannot be read: {error}", marked("The event cannot be read: %(error)s")),
    ("the calendar says that it was cancelled", marked("The calendar says that it was cancelled.")),
    ("nothing says that it was a show", marked("Nothing says that it was a show.")),
    ("the line is not JSON: {error}", marked("The line is not JSON: %(error)s")),
    ("it has more than {most:n} values", marked("It has more than %(most)s values.")),
    (
        "it says neither who played nor when and where",
        marked("It says neither who played nor when and where it was."),
    ),
    (
        "an entry of it would have more than {most:n} bytes",
        marked("One show of it would be larger than %(most)s bytes."),
    ),
    ("it names {acts:n} acts; a row may have {most:n}", marked("It names %(acts)s acts; a row may have %(most)s.")),
    (
        "what stands for the artist has {long:n} characters; a name has at most {most:n}",
        marked("What stands for the artist has %(long)s characters; a name has at most %(most)s."),
    ),
    ("{lat!r}, {lon!r} is no point on earth", marked("“%(lat)s”, “%(lon)s” is no point on earth.")),
    ("date: {written!r} does not exist in the calendar", marked("“%(written)s” is in no calendar.")),
    ("date: {written!r} ends before it begins", marked("“%(written)s” ends before it begins.")),
    (
        "date: {written!r}: the year is not between {first} and {last}",
        marked("“%(written)s”: the year is not between %(first)s and %(last)s."),
    ),
    ("date: {error}", marked("The date does not fit: %(error)s")),
    ("it reads like prose, not like a show", marked("It reads like prose, not like a show.")),
    (
        "the mail has {long:n} bytes; none is larger than {most:n}",
        marked("The mail has %(long)s bytes; none may be larger than %(most)s."),
    ),
    ("the mail cannot be read: {error}", marked("The mail cannot be read: %(error)s")),
    ("the mail has more parts than {most:n}", marked("The mail has more than %(most)s parts.")),
    (
        "the mail says that it was cancelled or paid back",
        marked("The mail says that the show was cancelled or paid back."),
    ),
    (
        "it is no ticket: it has no event's markup, and its words name no show and day",
        marked("It is no ticket: its words name no show and no day."),
    ),
    ("it does not tell when it was taken", marked("The photo does not tell when it was taken.")),
    ("its metadata cannot be read: {error}", marked("What the camera wrote into it cannot be read: %(error)s")),
    ("the photos do not tell where they were taken", marked("The photos do not tell where they were taken.")),
    ("it cannot be read", marked("It cannot be read.")),
    ("it has {cells:n} cells; a row may have {most:n}", marked("It has %(cells)s cells; a row may have %(most)s.")),
    (
        "the line has {long:n} bytes; no row is longer than {most:n}",
        marked("The line has %(long)s bytes; none may be longer than %(most)s."),
    ),
    # -- what would help
    ("pack it without a password", marked("Pack it without a password.")),
    ("pack it again, or import it by itself", marked("Pack it again, or import it by itself.")),
    ("unpack it, and import what is in it", marked("Unpack it, and import what is in it.")),
    ("export the calendar again", marked("Export the calendar again.")),
    ("change its status if it took place", marked("If it took place after all, change that in the calendar.")),
    (
        "write 'Concert: ' before its title, or where it was",
        marked("Write “Concert:” before its title, or where it was."),
    ),
    ("write one whole object a line", marked("Write one whole object a line.")),
    ('write objects: {{"artist": ..., "date": ...}}', marked('Write objects: {"artist": …, "date": …}')),
    ("keep what tells who, when and where", marked("Keep what tells who, when and where.")),
    ("fill in the artist, or the date and the place", marked("Fill in the artist, or the date and the place.")),
    ("correct the value, or leave it out", marked("Correct the value, or leave it out.")),
    ("keep of songs and notes what a show has", marked("Shorten its songs and its note.")),
    (
        "write the acts that you saw, a row for each night",
        marked("Write the acts that you saw, a row for each night."),
    ),
    (
        "shorten it to the name, or correct which column is the artist's",
        marked("Shorten it to the name, or choose another column for the artist."),
    ),
    ("write degrees: 52.3622, 4.8839", marked("Write degrees: 52.3622, 4.8839")),
    (
        "write the day as 2014-11-14, or what you know of it: Nov 2014",
        marked("Write the day as 2014-11-14, or what you know of it: Nov 2014."),
    ),
    (
        "write a line for each show: 'Radiohead, Reading 1994'",
        marked("Write a line for each show: “Radiohead, Reading 1994”."),
    ),
    ("save it without its attachments", marked("Save it without its attachments.")),
    ("save it again as .eml", marked("Save it again as .eml.")),
    (
        "save the ticket's mail without what it is attached to",
        marked("Save the ticket's mail alone, without the mails around it."),
    ),
    ("enter the show by hand if it took place", marked("If it took place after all, type the show.")),
    ("enter the show by hand", marked("Type the show.")),
    (
        "export the original from the camera or the phone",
        marked("Take the original from the camera or the phone."),
    ),
    (
        "take the original: what is sent by messengers or edited loses its metadata",
        marked("Take the original: a photo that was sent by a messenger or edited no longer tells its time."),
    ),
    ("fill in the time: 2014:11:14 21:03:22", marked("Fill in the time: 2014:11:14 21:03:22")),
    (
        "export them with their place, or enter the show by hand",
        marked("Export them with their place, or type the show."),
    ),
    ("import it by itself", marked("Import it by itself.")),
    ("look for a sign that parts too much", marked("Look for a sign that parts it too often.")),
    ("write each show on a line of its own", marked("Write each show on a line of its own.")),
    # -- why a file cannot be imported, and what would help
    (
        "{name} holds {files:n} files, more than {most:n}",
        marked("“%(name)s” holds %(files)s files, more than %(most)s."),
    ),
    ("{name} holds more than {most:n} files", marked("“%(name)s” holds more than %(most)s files.")),
    ("divide it into several archives", marked("Divide it into several archives.")),
    (
        "{name} is a document of an office program",
        marked("“%(name)s” is a document of an office program."),
    ),
    ("save it there as CSV, and import that", marked("Open it there, save it as CSV, and import that.")),
    ("{name} is no whole zip archive: {error}", marked("“%(name)s” is not a whole zip archive: %(error)s")),
    ("upload what is in it, unpacked", marked("Unpack it, and import what is in it.")),
    (
        "the archive unpacks to more than {most:n} MB, the most that one import may be",
        marked("The archive unpacks to more than %(most)s MB, the most that one import may be."),
    ),
    ("setlist.fm knows no attended shows of {user!r}", marked("setlist.fm knows no attended shows of “%(user)s”.")),
    (
        "write the name as it stands in the address of the profile, setlist.fm/user/NAME",
        marked("Write the name as it stands in the address of the profile: setlist.fm/user/NAME"),
    ),
    ("setlist.fm does not let Gigz in", marked("setlist.fm does not let Gigz in.")),
    ("setlist.fm does not answer", marked("setlist.fm does not answer.")),
    ("setlist.fm wants to be left alone for a while", marked("setlist.fm wants to be left alone for a while.")),
    (
        "Gigz has asked setlist.fm as often as it may in a day; {done:n} of {pages:n} pages are fetched and kept",
        marked("Gigz has asked setlist.fm as often as it may in a day. %(done)s of %(pages)s pages are here."),
    ),
    (
        "none is needed, it goes on by itself after {until:m} UTC; or export the list there, and upload the file",
        marked("It goes on by itself after %(until)s UTC. Or export your list there, and import the file."),
    ),
    ("setlist.fm answers with too much", marked("setlist.fm answers with more than a list of shows.")),
    (
        "setlist.fm answers with something else than setlists",
        marked("setlist.fm answers with something else than shows."),
    ),
    ("tell whoever runs this Gigz: the key is wrong", marked("Tell whoever runs this Gigz that the key is wrong.")),
    (
        "try again later, with PATCH {{}} of this import: what was fetched is kept",
        marked("Try again later: what was fetched is kept, and it goes on from there."),
    ),
    ("try again later", marked("Try again later.")),
    ("{field:f}: there is no column {names}", marked("The file has no column %(names)s.")),
    ("name one of {names}", marked("Choose one of these: %(names)s")),
    (
        "{name} has more than {most:n} pages, the most that one import may have",
        marked("“%(name)s” has more than %(most)s pages, the most that one import may have."),
    ),
    (
        "divide it into several files and import them one after the other",
        marked("Divide it into several files, and import one after the other."),
    ),
    (
        "{name} has more than {most:n} values in one document",
        marked("“%(name)s” has more than %(most)s values in one document."),
    ),
    (
        "write it as JSON lines, one show a line, or divide it",
        marked("Write it as JSON lines, a show a line, or divide it."),
    ),
    ("{name} is not JSON: {error}", marked("“%(name)s” is not JSON: %(error)s")),
    (
        "export it again, or check that it was saved whole",
        marked("Export it again, or look whether it was saved to its end."),
    ),
    ("{name} takes too long to read", marked("“%(name)s” takes too long to read.")),
    (
        "divide it into several files, or save it as CSV",
        marked("Divide it into several files, or save it as CSV."),
    ),
    ("{name} cannot be read: the reader broke off", marked("“%(name)s” cannot be read: reading it broke off.")),
    ("divide it, or save it as CSV and try that", marked("Divide it, or save it as CSV and import that.")),
    ("{name} holds no row that could be a show", marked("“%(name)s” holds no line that could be a show.")),
    (
        "write a line for each, 'Radiohead, Reading 1994', or a table with columns for artist, date and place; "
        "or name its --format",
        marked(
            "Write a line for each show, “Radiohead, Reading 1994”, or a table with columns for artist, date and place."
        ),
    ),
    (
        "{name} has more than {most:n} rows, the most that one import may be",
        marked("“%(name)s” has more than %(most)s rows, the most that one import may have."),
    ),
    ("{name!r} is no encoding", marked("“%(name)s” is no encoding.")),
    ("utf-8, cp1252, ...", marked("Choose one of the list.")),
    ("{name} is no text", marked("“%(name)s” is no text.")),
    ("save it as CSV, and import that", marked("Save it as CSV, and import that.")),
    ("{name} is a PDF", marked("“%(name)s” is a PDF.")),
    (
        "import the mail that it came with, or type the show",
        marked("Import the mail that it came with, or type the show."),
    ),
    (
        "{name} is a document of an old office program",
        marked("“%(name)s” is a document of an old office program."),
    ),
    ("{name} is a RAR archive", marked("“%(name)s” is a RAR archive.")),
    ("{name} is a 7z archive", marked("“%(name)s” is a 7z archive.")),
    ("{name} is a bzip2 archive", marked("“%(name)s” is a bzip2 archive.")),
    ("{name} is an xz archive", marked("“%(name)s” is an xz archive.")),
    ("pack it as zip", marked("Pack it as zip.")),
    ("{name} is a picture that tells no time", marked("“%(name)s” is a picture that does not tell its time.")),
    ("take the photo as the camera wrote it", marked("Take the photo as the camera wrote it.")),
    ("{name} has more than {most:n} photos", marked("“%(name)s” has more than %(most)s photos.")),
    ("import it in parts", marked("Import it in parts.")),
    ("{name} holds no photo", marked("“%(name)s” holds no photo.")),
    ("choose the folder with the JPEG or HEIC files", marked("Choose the JPEG or HEIC files.")),
    (
        "{name} would be more than {most:n} entries, or entries of more than {size:n} MB: each act of a row is one",
        marked(
            "“%(name)s” would become more than %(most)s shows, or more than %(size)s MB of them: each act of a row is "
            "one."
        ),
    ),
    (
        "divide it into several files, or correct which columns are the acts",
        marked("Divide it into several files, or take care that only acts stand in the columns of acts."),
    ),
    ("{name}: it broke off {times:n} times", marked("“%(name)s”: it broke off %(times)s times.")),
    ("divide the file", marked("Divide the file.")),
    ("{name}: something went wrong on our side", marked("“%(name)s”: something went wrong on our side.")),
    ("try once more; tell us if it stays so", marked("Try once more, and tell us if it stays so.")),
    ("the upload of {name} was removed meanwhile", marked("“%(name)s” is not kept any more.")),
    ("upload the file again", marked("Import the file again.")),
    ("{name} is empty", marked("“%(name)s” is empty.")),
    ("choose the file that holds your shows", marked("Choose the file that holds your shows.")),
    (
        "{name} unpacks to more than {most:n} MB, the most that one import may be",
        marked("“%(name)s” unpacks to more than %(most)s MB, the most that one import may be."),
    ),
    (
        "{name} is larger than {most:n} MB, the most that one import may be",
        marked("“%(name)s” is larger than %(most)s MB, the most that one import may be."),
    ),
    ("{name} is no whole gzip file: {error}", marked("“%(name)s” is not a whole gzip file: %(error)s")),
    ("upload it unpacked", marked("Unpack it, and import that.")),
    ("{name} takes more memory than one import may", marked("“%(name)s” takes more memory than one import may.")),
    ("divide it, or save it as CSV", marked("Divide it, or save it as CSV.")),
    ("{name} cannot be read: we stumbled over it", marked("“%(name)s” cannot be read: we stumbled over it.")),
    ("save it as CSV or UTF-8 text, and try that", marked("Save it as CSV or as text in UTF-8, and import that.")),
    # -- what is wrong with an upload
    ("The upload broke off. Send it again.", marked("The upload broke off. Send it again.")),
    ('is empty: send a file, a text, or {{"setlistfm_user": "name"}}', marked("Choose a file, or paste a list.")),
    (
        "is larger than {most:n} MB, the most that one import may be; divide it into several files and import them one "
        "after the other",
        marked(
            "This is larger than %(most)s MB, the most that one import may be. Divide it into several files, and "
            "import one after the other."
        ),
    ),
    (
        "is a form without a boundary; let your client write the Content-Type",
        marked("The form came incomplete. Open the page again, and send it once more."),
    ),
    ("has more than {most:n} parts; pack the files as a zip", marked("More than %(most)s files: pack them as a zip.")),
    ("is no whole form: {error}", marked("The form came incomplete. Open the page again, and send it once more.")),
    ("is missing or empty: send a part with a file, or one called `text`", marked("Choose a file, or paste a list.")),
    ("must be one of {names}", marked("Choose one of the list.")),
    ("is there twice", marked("The form came twice. Open the page again, and send it once more.")),
    ("is longer than {most:n} bytes", marked("This is longer than %(most)s characters.")),
    # -- why columns, separators and orders were taken
    ("as you said", marked("As you said.")),
    ("its heading {name!r}", marked("By its heading “%(name)s”.")),
    ("its heading {name!r} holds a word for it", marked("Its heading “%(name)s” holds a word for it.")),
    ("{share:p} of its texts are dates", marked("%(share)s of its texts are dates.")),
    ("its texts are years", marked("Its texts are years.")),
    ("numbers as coordinates have them", marked("Its numbers look like coordinates.")),
    ("{share:p} of its texts are countries", marked("%(share)s of its texts are countries.")),
    ("{share:p} of its texts are towns", marked("%(share)s of its texts are towns.")),
    ("the first column of names", marked("It is the first column of names.")),
    ("names of houses", marked("Names of venues stand in it.")),
    ("the next column of names", marked("It is the next column of names.")),
    (
        "its heading {name!r}, and no other column says who",
        marked("By its heading “%(name)s”; no other column says who played."),
    ),
    ("beside a column of years", marked("It stands beside a column of years.")),
    ("its heading {name!r}, and towns stand in it", marked("By its heading “%(name)s”; towns stand in it.")),
    (
        "its heading {name!r}, and few towns stand in it",
        marked("By its heading “%(name)s”; hardly a town stands in it."),
    ),
    (
        "{why:s}, and the {more:n} columns that go on with it",
        marked("%(why)s The columns behind go on with it: %(more)s."),
    ),
    (
        "{having:n} of {all:n} texts have {sign!r} in them",
        marked("%(having)s of %(all)s texts have this sign in them."),
    ),
    ("{having:n} of {all:n} texts are lists", marked("%(having)s of %(all)s texts are lists.")),
    # -- with values at their beginning that fit many sentences
    ("{written} is no show", marked("This is no show: %(written)s")),
    ("{field:f}: {error}", marked("%(field)s does not fit: %(error)s")),
)
"""What a reader says -> what a page says. The first that fits counts."""


class Told(NamedTuple):
    """What is wrong, and what would help where somebody knows."""

    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """One of them, ready to be recognised."""

    pattern: re.Pattern[str]
    kinds: dict[str, str]
    page: str


_PATTERNS = {
    "": r".+?",
    "r": r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""",
    "n": r"[\d,]+(?:\.\d+)?",
    "p": r"\d+(?:\.\d+)?%",
    "d": r"\d{4}-\d\d-\d\d",
    "ds": r"\d{4}-\d\d-\d\d(?: or \d{4}-\d\d-\d\d)*",
    "m": r"\d{4}-\d\d-\d\d \d\d:\d\d",
    "w": r"[A-Z][a-z]+",
    "f": r"[a-z_]+",
    "s": r".+?",
}


def sentence(said: str, page: str) -> Sentence:
    """A sentence of a reader as a pattern of itself."""
    pattern, kinds = "", {}
    for literal, name, spec, conversion in Formatter().parse(said):
        pattern += re.escape(literal)
        if name is not None:
            kinds[name] = conversion or spec or ""
            pattern += f"(?P<{name}>{_PATTERNS[kinds[name]]})"
    return Sentence(re.compile(pattern, re.DOTALL), kinds, page)


_SENTENCES = tuple(sentence(said, page) for said, page in SENTENCES)


def tell(said: str) -> str:
    """One sentence of a reader in the page's language; as it stands where it is none of SENTENCES."""
    for one in _SENTENCES:
        found = one.pattern.fullmatch(said)
        if found is not None:
            values = {name: _SHOWN[one.kinds[name]](text) for name, text in found.groupdict().items()}
            return _(one.page, **values)
    return said


def told(message: str) -> Told:
    """What a reader says of a whole file: what is wrong, and the remedy."""
    text, _, remedy = message.partition(REMEDY)
    return Told(tell(text), tell(remedy) if remedy else None)


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return text[1:-1]


def _days(text: str) -> str:
    return _(" or ").join(night(date.fromisoformat(one)) for one in text.split(" or "))


def _field(name: str) -> str:
    return field_name(Field(name)) if name in set(Field) else name


def _share(text: str) -> str:
    return percent(float(text.rstrip("%")) / 100)


_SHOWN: dict[str, Callable[[str], str]] = {
    "": str,
    "r": _unquoted,
    "n": lambda text: number(float(text.replace(",", ""))),
    "p": _share,
    "d": lambda text: night(date.fromisoformat(text)),
    "ds": _days,
    "m": lambda text: f"{day(date.fromisoformat(text[:10]))}, {text[11:]}",
    "w": str,
    "f": _field,
    "s": tell,
}


# -- of codes ---------------------------------------------------------------------------------------------------------


def field_name(field: Field) -> str:
    """'Artist'."""
    return _(FIELDS[field])


def format_name(format: Format) -> str:
    """'Calendar (iCalendar)'."""
    return _(FORMATS[format])


def state_name(state: ImportState) -> str:
    """'Waits for your yes'."""
    return _(STATES[state])


def standing_name(standing: str) -> str:
    """'Doubtful'."""
    return _(STANDINGS[Standing(standing)])


def reason_name(reason: str) -> str:
    """'No such date'; a code that is not known stays as it is."""
    return _(REASONS[Reason(reason)]) if reason in set(Reason) else reason


def code_name(code: str) -> str:
    """'That is too large'; a code that is not known stays as it is."""
    return _(CODES[Code(code)]) if code in set(Code) else code


def nothing_told(reason: str | None) -> Told:
    """Why nothing was found for an entry, and what would help."""
    if reason not in set(Nothing):
        reason = Nothing.NO_CANDIDATE
    text, remedy = NOTHINGS[Nothing(reason)]
    return Told(_(text), _(remedy))


# -- of the order of day and month ------------------------------------------------------------------------------------

_ORDER = re.compile(r"(?:.+?, )?(?P<sure>[\d.]+)% sure(?: at best)? \((?P<seen>.+); (?P<either>\d+) could be either\)")
_SEEN = re.compile(r"(\d+) (day first|month first|year first|told by their weekday)")


def order_told(why: str) -> str:
    """Why an order of day and month was taken, or none: what `matchers.columns.DateOrder.text` counts."""
    found = _ORDER.fullmatch(why)
    if found is None:
        return why
    seen = {what: int(count) for count, what in _SEEN.findall(found["seen"])}
    either = int(found["either"])
    if not seen and not either:
        return _("No date here needs an order.")
    said = []
    if count := seen.get("day first"):
        said.append(ngettext("%(num)s can only be day first", "%(num)s can only be day first", count))
    if count := seen.get("month first"):
        said.append(ngettext("%(num)s can only be month first", "%(num)s can only be month first", count))
    if count := seen.get("year first"):
        said.append(ngettext("%(num)s can only be year first", "%(num)s can only be year first", count))
    if count := seen.get("told by their weekday"):
        said.append(ngettext("%(num)s is told by its weekday", "%(num)s are told by their weekday", count))
    if either:
        said.append(ngettext("%(num)s could be either", "%(num)s could be either", either))
    return _("Of the dates, %(counts)s.", counts=listed(said))
