"""The words of dates: months, weekdays, seasons and feasts, in the languages that occur.

`bare` is their one spelling: no case, no marks. A word that means two things keeps the commoner one.
"""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache

from dateutil.easter import easter

from matchers.text import edits

_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "’": "'"})


@lru_cache(maxsize=16_384)
def bare(word: str) -> str:
    """'Août' -> 'aout', 'März' -> 'marz'."""
    word = word.casefold().translate(_PLAIN)
    if word.isascii():
        return word
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


def _by_word(table: dict[int, str]) -> dict[str, int]:
    return {bare(word): number for number, words in table.items() for word in words.split()}


# English, German, Dutch, Danish, Norwegian, Swedish, Finnish; French, Spanish, Catalan, Portuguese, Italian, Romanian;
# Polish, Czech, Slovak, Slovene, Croatian, Hungarian, Turkish, Russian, Ukrainian, Greek; Icelandic, Estonian, Hebrew,
# Arabic (as in Egypt, then the Levant's months of one word). Left out: Croatian's `listopad`, which is October there
# and November elsewhere.
MONTHS = _by_word(
    {
        1: "january jan januar januari jänner janeiro enero ene janvier janv gennaio gen gener ianuarie styczen"
        " stycznia leden ledna tammikuu tammikuuta ocak január январь января січня ιανουαριος ιανουαριου januára"
        " januarja siječnja siječanj janúar jaanuar ינואר בינואר يناير",
        2: "february feb februar februari feber fevereiro fev febrero février fevr fevr febbraio febbr febrer februarie"
        " luty lutego únor února helmikuu helmikuuta şubat február февраль февраля лютого φεβρουαριος φεβρουαριου"
        " februára februarja veljače veljača február febrúar veebruar פברואר בפברואר فبراير شباط",
        3: "march mar märz maerz mär mrz março marco marzo mars maart mrt marts març martie marzec marca březen března"
        " maaliskuu maaliskuuta mart marec március март марта березня μαρτιος μαρτιου"
        " ožujka ožujak március märts מרץ במרץ مارس آذار",
        4: "april apr abril abr avril avr aprile aprilie kwiecień kwietnia duben dubna huhtikuu huhtikuuta nisan"
        " április апрель апреля квітня απριλιος απριλιου"
        " apríla travnja travanj április apríl aprill אפריל באפריל أبريل نيسان",
        5: "may mai maio mayo maggio mag mei maj maja maig květen května toukokuu toukokuuta mayıs május май мая травня"
        " μαιος μαιου"
        " máj mája svibnja svibanj május maí מאי במאי مايو أيار",
        6: "june jun juni junho junio juin giugno giu juny iunie czerwiec czerwca červen června kesäkuu kesäkuuta"
        " haziran junij június июнь июня червня ιουνιος ιουνιου"
        " jún júna junija lipnja lipanj június júní juuni יוני ביוני يونيو حزيران",
        7: "july jul juli julho julio juillet juil luglio lug juliol iulie lipiec lipca červenec července heinäkuu"
        " heinäkuuta temmuz julij július июль июля липня ιουλιος ιουλιου"
        " júl júla julija srpnja srpanj július júlí juuli יולי ביולי يوليو تموز",
        8: "august aug agosto ago août augustus augusti agost sierpień sierpnia srpen srpna elokuu elokuuta ağustos"
        " avgust augusztus август августа серпня αυγουστος αυγουστου"
        " augusta avgusta kolovoza kolovoz ágúst ágú אוגוסט באוגוסט أغسطس آب",
        9: "september sep sept setembro set septiembre septembre settembre sett setembre septembrie wrzesień września"
        " září syyskuu syyskuuta eylül szeptember сентябрь сентября вересня σεπτεμβριος σεπτεμβριου"
        " septembra rujna rujan szept ספטמבר בספטמבר سبتمبر أيلول",
        10: "october oct oktober okt outubro out octubre octobre ottobre ott octombrie październik października říjen"
        " října lokakuu lokakuuta ekim október октябрь октября жовтня οκτωβριος οκτωβριου"
        " októbra oktobra október okt oktoober אוקטובר באוקטובר أكتوبر",
        11: "november nov novembro noviembre novembre noiembrie listopad listopada listopadu marraskuu marraskuuta"
        " kasım ноябрь ноября листопада νοεμβριος νοεμβριου"
        " novembra nóvember nóv נובמבר בנובמבר نوفمبر",
        12: "december dec dezember dez dezembro diciembre dic décembre déc dicembre desembre desember des decembrie"
        " grudzień grudnia prosinec prosince joulukuu joulukuuta aralık декабрь декабря грудня δεκεμβριος δεκεμβριου"
        " decembra prosinca detsember דצמבר בדצמבר ديسمبر",
    }
)

# Left out: `on` (Swedish Wednesday), `la` (Finnish Saturday), `so` as Czech has it: other words of English and German.
WEEKDAYS = _by_word(
    {
        0: "monday mon mo montag maandag ma mandag måndag man mån lundi lun lunes segunda segunda-feira seg lunedì"
        " dilluns poniedziałek pon pondělí maanantai hétfő понедельник понеділок pazartesi δευτερα"
        " mánudagur mánudag mán pondelok ponedjeljak ponedeljek الاثنين الإثنين",
        1: "tuesday tue tues tu di dienstag dinsdag tirsdag tisdag tir tis mardi mar martes terça terca-feira ter"
        " martedì dimarts wtorek wt úterý tiistai ti kedd вторник вівторок salı τριτη"
        " þriðjudagur þriðjudag þri utorok utorak torek marți الثلاثاء",
        2: "wednesday wed weds we mi mittwoch woensdag wo onsdag ons mercredi mer miércoles mié quarta quarta-feira qua"
        " mercoledì dimecres środa śr středa keskiviikko szerda среда середа çarşamba τεταρτη"
        " miðvikudagur miðvikudag mið streda srijeda sreda miercuri الأربعاء",
        3: "thursday thu thur thurs th do donnerstag donderdag torsdag tor tors jeudi jeu jueves jue quinta"
        " quinta-feira qui giovedì gio dijous czwartek czw čtvrtek torstai csütörtök четверг четвер perşembe πεμπτη"
        " fimmtudagur fimmtudag fim štvrtok četvrtak četrtek joi الخميس",
        4: "friday fri fr freitag vrijdag vr fredag fre vendredi ven viernes vie sexta sexta-feira sex venerdì"
        " divendres piątek pt pátek perjantai péntek пятница п'ятниця cuma παρασκευη"
        " föstudagur föstudag fös piatok petak petek vineri الجمعة",
        5: "saturday sat sa samstag sonnabend zaterdag za lørdag lördag lør lör samedi sam sábado sáb sabato dissabte"
        " sobota sob lauantai szombat суббота субота cumartesi σαββατο"
        " laugardagur laugardag lau subota sâmbătă السبت",
        6: "sunday sun su so sonntag zondag zo søndag söndag søn sön dimanche dim domingo dom domenica diumenge"
        " niedziela niedz neděle sunnuntai vasárnap воскресенье неділя pazar κυριακη"
        " sunnudagur sunnudag nedeľa nedjelja nedelja duminică الأحد",
    }
)
CJK_WEEKDAYS = {
    sign: number
    for number, signs in enumerate(["月월", "火화", "水수", "木목", "金금", "土토", "日일"])
    for sign in signs
}

_SEASONS = {
    "spring": "spring springtime frühling frühjahr primavera printemps lente voorjaar vår forår wiosna jaro"
    " kevät весна",
    "summer": "summer summertime sommer verão verano été ete estate zomer sommar estiu lato léto kesä лето yaz",
    "autumn": "autumn fall herbst outono otoño automne autunno herfst najaar höst efterår høst tardor jesień podzim"
    " syksy осень",
    "winter": "winter wintertime inverno invierno hiver vinter hivern zima talvi зима",
}
SEASONS = {bare(word): season for season, words in _SEASONS.items() for word in words.split()}

_WHOLE_MONTHS = tuple(
    (word, number)
    for word, number in MONTHS.items()
    if len(word) > 4 and word.isascii() and word not in ("marts", "maart", "marec", "marca", "ledna", "gener", "leden")
)


@lru_cache(maxsize=16_384)
def month_of(word: str) -> int | None:
    """A month by its name or abbreviation, with a slip of the hand: 'Febuary', 'Septemeber'. None for no month."""
    spelled = bare(word)
    found = MONTHS.get(spelled)
    if found is not None or len(spelled) < 5 or not spelled.isascii() or spelled in WEEKDAYS or spelled in SEASONS:
        return found
    most = 2 if len(spelled) >= 8 else 1
    near: dict[int, int] = {}
    for name, number in _WHOLE_MONTHS:
        apart = edits(spelled, name, most)
        # 'match' is no March: of short words only the order of the letters may be wrong.
        if apart <= most and (len(spelled) > 5 or sorted(spelled) == sorted(name)):
            near[number] = min(apart, near.get(number, 9))
    best = [number for number, apart in near.items() if apart == min(near.values())]
    return best[0] if len(best) == 1 else None


# -- feasts -----------------------------------------------------------------------------------------------------------


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date | None:
    """The first (1) to fifth, or the last (-1) such weekday of a month; None when there is no fifth."""
    if nth < 0:
        last = date(year, month, monthrange(year, month)[1])
        return last - timedelta(days=(last.weekday() - weekday) % 7)
    first = date(year, month, 1)
    day = 1 + (weekday - first.weekday()) % 7 + 7 * (nth - 1)
    return date(year, month, day) if day <= monthrange(year, month)[1] else None


def _fixed(month: int, day: int) -> Callable[[int], date | None]:
    return lambda year: date(year, month, day)


def _around_easter(days: int) -> Callable[[int], date | None]:
    return lambda year: easter(year) + timedelta(days=days)


def _nth(month: int, weekday: int, nth: int, after: int = 0) -> Callable[[int], date | None]:
    def found(year: int) -> date | None:
        day = nth_weekday(year, month, weekday, nth)
        return day + timedelta(days=after) if day else None

    return found


def _thanksgiving(after: int) -> Callable[[int], date | None]:
    """Of the United States: the last Thursday of November until 1938, the fourth since 1942."""

    def found(year: int) -> date | None:
        day = nth_weekday(year, 11, 3, -1 if year < 1939 else 4)
        return day + timedelta(days=after) if day else None

    return found


def _memorial_day(year: int) -> date | None:
    return nth_weekday(year, 5, 0, -1) if year > 1970 else date(year, 5, 30)


_FEASTS: list[tuple[str, Callable[[int], date | None]]] = [
    ("new years day|neujahr|neujahrstag|nouvel an|ano novo|ano nuevo|capodanno", _fixed(1, 1)),
    ("epiphany|dreikonig|heilige drei konige|reyes", _fixed(1, 6)),
    ("burns night", _fixed(1, 25)),
    ("australia day", _fixed(1, 26)),
    ("martin luther king day|mlk day", _nth(1, 0, 3)),
    ("groundhog day", _fixed(2, 2)),
    ("valentines day|valentines|valentinstag|saint valentin|san valentin|san valentino", _fixed(2, 14)),
    ("presidents day", _nth(2, 0, 3)),
    ("rosenmontag", _around_easter(-48)),
    ("mardi gras|fat tuesday|shrove tuesday|faschingsdienstag|carnaval|martedi grasso", _around_easter(-47)),
    ("ash wednesday|aschermittwoch", _around_easter(-46)),
    ("st patricks day|saint patricks day|st paddys day|paddys day|st patricks|st pattys day", _fixed(3, 17)),
    ("april fools day|april fools", _fixed(4, 1)),
    ("maundy thursday|grundonnerstag", _around_easter(-3)),
    ("good friday|karfreitag|vendredi saint|viernes santo|sexta-feira santa|goede vrijdag", _around_easter(-2)),
    ("easter saturday|holy saturday|karsamstag", _around_easter(-1)),
    ("easter sunday|easter day|ostersonntag|paques|pascua|pascoa|pasqua|eerste paasdag", _around_easter(0)),
    ("easter monday|ostermontag|lundi de paques|pasquetta|tweede paasdag", _around_easter(1)),
    ("earth day", _fixed(4, 22)),
    ("anzac day", _fixed(4, 25)),
    ("kings day|koningsdag", _fixed(4, 27)),
    ("queens day|koninginnedag", _fixed(4, 30)),
    ("walpurgisnacht|valborg|tanz in den mai", _fixed(4, 30)),
    ("may day|tag der arbeit|fete du travail", _fixed(5, 1)),
    ("star wars day", _fixed(5, 4)),
    ("cinco de mayo", _fixed(5, 5)),
    ("mothers day|muttertag", _nth(5, 6, 2)),
    ("ascension day|ascension|christi himmelfahrt|himmelfahrt|vatertag|hemelvaart|hemelvaartsdag", _around_easter(39)),
    ("whit sunday|pentecost|pfingstsonntag|pfingsten|pentecote|pinksteren", _around_easter(49)),
    ("whit monday|pfingstmontag|lundi de pentecote|tweede pinksterdag", _around_easter(50)),
    ("corpus christi|fronleichnam", _around_easter(60)),
    ("memorial day", _memorial_day),
    ("juneteenth", _fixed(6, 19)),
    ("fete de la musique", _fixed(6, 21)),
    ("sao joao|noite de sao joao|st johns day", _fixed(6, 24)),
    ("fathers day", _nth(6, 6, 3)),
    ("canada day", _fixed(7, 1)),
    ("4th of july|fourth of july|july 4th|july fourth|independence day", _fixed(7, 4)),
    ("bastille day|14 juillet|quatorze juillet", _fixed(7, 14)),
    ("labor day|labour day", _nth(9, 0, 1)),
    ("canadian thanksgiving|columbus day", _nth(10, 0, 2)),
    ("tag der deutschen einheit|german unity day", _fixed(10, 3)),
    ("halloween|hallowe'en|all hallows eve", _fixed(10, 31)),
    ("all saints day|allerheiligen|toussaint", _fixed(11, 1)),
    ("day of the dead|dia de los muertos|dia de muertos", _fixed(11, 2)),
    ("guy fawkes night|guy fawkes|bonfire night", _fixed(11, 5)),
    ("armistice day|veterans day|remembrance day", _fixed(11, 11)),
    ("thanksgiving eve", _thanksgiving(-1)),
    ("thanksgiving day|thanksgiving|turkey day", _thanksgiving(0)),
    ("black friday", _thanksgiving(1)),
    ("st nicholas day|nikolaus|nikolaustag|sinterklaas", _fixed(12, 6)),
    ("christmas eve|xmas eve|heiligabend|heilig abend|nochebuena|reveillon de noel", _fixed(12, 24)),
    ("christmas day|christmas|xmas|xmas day|weihnachten|noel|navidad|natal|natale|kerstmis|jul", _fixed(12, 25)),
    ("boxing day|st stephens day|zweiter weihnachtstag|2 weihnachtstag|tweede kerstdag|santo stefano", _fixed(12, 26)),
    (
        "new years eve|nye|new years|new year's|silvester|sylvester|saint-sylvestre|st sylvestre|reveillon|nochevieja"
        "|hogmanay|oudejaarsavond|nyarsafton|nytarsaften",
        _fixed(12, 31),
    ),
]
_BY_FEAST = {name: found for names, found in _FEASTS for name in names.split("|")}
_LONG_FEASTS = {"easter": (-2, 1), "ostern": (-2, 1), "easter weekend": (-2, 1), "osterwochenende": (-2, 1)}
_LONG_FEASTS |= {"pfingstwochenende": (48, 50), "carnival": (-52, -47), "karneval": (-52, -47), "fasching": (-52, -47)}
_TITLES = re.compile(r"^(?:the|le|la|el|der|die|das|am|an|zu)\s+|\s+(?:day|night|nacht)$")


def feast(name: str, year: int) -> tuple[date, date] | None:
    """First and last day of a feast of that year; 'Labor Day weekend' is Friday to Monday. None when it is none."""
    name = " ".join(re.sub(r"['’.]", "", bare(name)).split())
    for known in (name, _TITLES.sub("", name)):
        if known in _BY_FEAST:
            day = _BY_FEAST[known](year)
            return (day, day) if day else None
        if known in _LONG_FEASTS:
            first, last = (easter(year) + timedelta(days=days) for days in _LONG_FEASTS[known])
            return first, last
        head = known.removesuffix(" weekend")
        if head != known and head in _BY_FEAST and (day := _BY_FEAST[head](year)):
            return weekend_at(day)
    return None


def weekend_at(day: date) -> tuple[date, date]:
    """The Friday to Sunday nearest to a day; a Thursday before and a Monday after belong to it."""
    friday = day - timedelta(days=day.weekday() - 4)
    if day.weekday() < 2:
        friday -= timedelta(days=7)
    sunday = friday + timedelta(days=2)
    return (day if day.weekday() == 3 else friday), (day if day.weekday() == 0 else sunday)
