"""What people call their columns, in the languages that occur. A word that means two things keeps the commoner one."""

import re
import unicodedata
from functools import lru_cache

from api.imports.shapes import Field

_WORDS: dict[Field, str] = {
    Field.ARTIST: "artist, artists, band, bands, act, acts, performer, performers, headliner, headliners, headline,"
    " lineup, line up, musician, musicians, group, who, artist name, band name, played, main act, seen;"
    " künstler, kuenstler, künstlerin, interpret, interpreten, gruppe, kapelle, wer, bandname, hauptact;"
    " artiste, artistes, groupe, groupes, interprète, tête d'affiche, qui; artista, artistas, banda, bandas, grupo,"
    " grupos, intérprete, conjunto, quién, quien, cartel; quem, atração, cabeça de cartaz; artisti, gruppo, gruppi,"
    " cantante, chi; artiest, artiesten, bandnaam, uitvoerende, wie; kunstner, kunstnere, bandnavn, hvem; artister,"
    " bandet, vem; esiintyjä, esiintyjät, bändi, yhtye, artisti, kuka; wykonawca, wykonawcy, zespół, artysta, kto;"
    " umělec, kapela, skupina, kdo; umelec; előadó, zenekar, fellépő, ki; sanatçı, grup, kim; izvođač, bend;"
    " исполнитель, исполнители, группа, артист, кто; виконавець, гурт, хто; καλλιτεχνης, συγκροτημα;"
    " アーティスト, バンド, 出演者, 出演; 艺人, 乐队, 歌手, 表演者; 가수, 밴드, 아티스트",
    Field.DATE: "date, dates, day, when, night, event date, show date, concert date, gig date, date of show, eventdate,"
    " startdate, start date, start, starts, starts at, datetime, date time, dtstart, datetimeoriginal, date taken,"
    " createdate, attended on, seen on, date seen, local date; datum, tag, wann, konzertdatum, am, termin, tag datum;"
    " quand, jour, date du concert; fecha, cuándo, día, fecha del concierto; data, quando, dia, data do concerto;"
    " giorno; wanneer; dato, når, konsertdato; när; päivämäärä, pvm, päivä, milloin; kiedy, dzień; kdy, dátum, kedy;"
    " mikor, nap; tarih, ne zaman; kada; дата, когда; коли; ημερομηνια, ποτε; 日付, 日期, 日時, 날짜, 년월일",
    Field.VENUE: "venue, venues, hall, club, place, location, stage, arena, theater, theatre, venue name, where, at,"
    " spot; veranstaltungsort, spielstätte, spielort, halle, saal, lokal, laden, wo, bühne, location name; salle, lieu,"
    " endroit, où; sala, recinto, lugar, local, dónde; onde, espaço, casa; locale, luogo, sede, dove, posto; zaal,"
    " locatie, podium, waar, plek; sted, spillested, spillestedet, hvor, scene; plats, scen, ställe, var, spelställe;"
    " paikka, keikkapaikka, missä; miejsce, klub, gdzie; místo, sál, kde; miesto; helyszín, hol; mekan, yer, nerede;"
    " mjesto, gdje; место, площадка, клуб, где; місце, де; χωρος, που; 会場, 场地, 场馆, 공연장, 장소",
    Field.CITY: "city, town, municipality, city name, locality, metro, metro area, addresslocality; stadt, ort; ville;"
    " ciudad, población; cidade, localidade; città; stad, plaats, woonplaats; by; kaupunki; miasto; město; mesto;"
    " város; şehir; grad; город; місто; πολη; 都市, 城市, 도시, 市",
    Field.REGION: "state, province, region, county, territory, prefecture, addressregion; bundesland, kanton; région,"
    " département; provincia, región, comunidad; estado, distrito; regione; provincie; landsdel, fylke; län;"
    " województwo; регион, область",
    Field.COUNTRY: "country, nation, country name, country code, countrycode, addresscountry; land, staat; pays; país;"
    " paese, nazione; maa; kraj, państwo; země, stát; krajina, štát; ország; ülke; zemlja, država; страна; країна;"
    " χωρα; 国, 国家, 나라",
    Field.LAT: "lat, latitude, gpslatitude, gps latitude, breitengrad, latitud, latitudine, breedtegraad, lat deg",
    Field.LON: "lon, lng, long, longitude, gpslongitude, gps longitude, längengrad, longitud, longitudine, lengtegraad",
    Field.TIME: "time, start time, show time, showtime, starttime, doors, doors open, local time; uhrzeit, zeit,"
    " beginn, einlass; heure, horaire; hora, horario; horário; ora, orario; tijd, aanvang, aanvangstijd; tid,"
    " klokken, klokkeslæt, starttid; klo, aika, kellonaika; godzina; čas; idő; saat; время; час; ωρα; 時間, 时间, 시간",
    Field.SONGS: "songs, setlist, set list, songs played, tracks; lieder; chansons; canciones; músicas; canzoni, brani;"
    " nummers; sange; låtar; utwory; песни",
    Field.NOTE: "note, notes, comment, comments, remark, remarks, memo, thoughts, review, description; notiz, notizen,"
    " bemerkung, bemerkungen, anmerkung, anmerkungen, kommentar; remarque, remarques, commentaire, commentaires; nota,"
    " notas, comentario, comentarios, observaciones; comentário, observações; commento, appunti; opmerking,"
    " opmerkingen; bemærkning, bemærkninger; anteckning, anteckningar; huomio, huomiot; uwagi, notatka, notatki;"
    " poznámka, poznámky; megjegyzés; notlar; заметка, заметки, комментарий, примечание; примітка; メモ, 备注, 메모",
    Field.WITH: "with, with whom, who with, went with, companion, companions, company, friends, along, people; mit,"
    " begleitung, mit wem; avec, avec qui; con, con quién, acompañantes; com, com quem; con chi; met, met wie; med, med"
    " hvem, med vem; kanssa, kenen kanssa; z kim; s kým; с кем; з ким",
    Field.SUPPORT: "support, supports, opener, openers, opening act, opening acts, supporting act, supporting acts,"
    " support act, support acts, opened by, openers support, other acts, other bands, also played; vorband, vorbands,"
    " vorgruppe, vorgruppen, vorprogramm; première partie, premières parties; telonero, teloneros; primeira parte,"
    " abertura; spalla, gruppo spalla, gruppi spalla, apertura; voorprogramma; opvarmning, oppvarming; förband;"
    " lämppäri, lämppärit; suport, supporty; předkapela, předkapely; előzenekar; разогрев",
    Field.EVENT: "event, title, name, show, concert, concerts, gig, gigs, summary, event name, event title, display"
    " name, displayname, what; titel, veranstaltung, konzert, auftritt, was; titre, évènement, événement, spectacle;"
    " evento, concierto, título; concerto; titolo; evenement, optreden; arrangement, koncert; evenemang, konsert;"
    " tapahtuma, keikka; wydarzenie; akce; udalosť; esemény; etkinlik, konser; событие, концерт; подія; 公演,"
    " 演唱会, 공연",
    Field.FESTIVAL: "festival, festival name, festivals, festiwal, фестиваль, φεστιβαλ",
    Field.LINK: "link, links, url, web, website, setlist link, setlist url, setlistfm, setlist fm, uri",
    Field.YEAR: "year, yr, jahr, année, año, ano, anno, jaar, år, vuosi, rok, év, yıl, godina, год, рік, ετος, 年",
    Field.MONTH: "month, monat, mois, mes, mês, mese, maand, måned, månad, kuukausi, miesiąc, měsíc, hónap, ay, месяц,"
    " місяць, 月",
}
_OTHERWISE = frozenset(
    [
        "added",
        "created",
        "modified",
        "updated",
        "uploaded",
        "purchased",
        "bought",
        "ordered",
        "purchase",
        "booking",
        "booked",
        "price",
        "cost",
        "preis",
        "prix",
        "precio",
        "prezzo",
        "rating",
        "stars",
        "sterne",
        "bewertung",
        "end",
        "ends",
        "ended",
        "enddate",
        "ending",
        "until",
        "bis",
        "id",
        "ids",
        "uid",
        "key",
        "mbid",
        "tmid",
        "count",
        "number",
        "nr",
        "no",
        "num",
        "index",
        "seat",
        "seats",
        "row",
        "section",
        "ticket",
        "tickets",
        "image",
        "photo",
        "photos",
        "picture",
        "genre",
        "label",
        "status",
        "complete",
        "capacity",
        "distance",
        "phone",
        "zip",
        "postcode",
        "zipcode",
        "street",
        "address",
        "url",
        "link",
        "version",
        "total",
        "paid",
        "fee",
        "birthday",
        "sortname",
        "slug",
        "currency",
    ]
)
"""Words that make another column of one: 'date added', 'venue id', 'ticket price'."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_WORD = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\s*\d+$")
_NAMED = re.compile(r"(?<=\w)[. ](?:name|displayname|display name|title|text|value)$")


@lru_cache(maxsize=4_096)
def plain(heading: str) -> str:
    """'Event_Date ' -> 'event date', 'Künstler:' -> 'kunstler'."""
    text = _CAMEL.sub(" ", heading.strip()[:200])
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return " ".join(_NO_WORD.sub(" ", text).split())


def _by_word() -> dict[str, Field]:
    found: dict[str, Field] = {}
    for name, words in _WORDS.items():
        for word in re.split(r"[,;]", words):
            found.setdefault(plain(word), name)
    return found


BY_WORD = _by_word()
_SAME = {plain(name.value): name for name in Field}


def meant(heading: str) -> tuple[Field, float] | None:
    """The field that a heading names, and how surely: 1 for its own word, less for a word among others."""
    text = plain(heading)
    if not text or len(text) > 60:
        return None
    if text in _SAME:
        return _SAME[text], 1.0
    if text in BY_WORD:
        return BY_WORD[text], 0.98
    shorter = _NAMED.sub("", text)
    if shorter != text and (found := meant(shorter)):
        return found[0], 0.96
    words = text.split()
    if shorter in BY_WORD:
        return BY_WORD[shorter], 0.96
    if set(words) & _OTHERWISE:
        return None
    if {"city", "town", "stadt", "ville", "ciudad", "cidade"} & set(words) and len(words) <= 3:
        return Field.CITY, 0.8  # 'City/State', 'Town, country'
    for size in (3, 2, 1):  # 'venue.city.country', 'name of band', 'datum konzert': the last word rules
        for at in range(len(words) - size, -1, -1):
            part = " ".join(words[at : at + size])
            if part in BY_WORD and part not in {"at", "am", "by", "no", "var", "de", "ki", "con", "com", "med", "met"}:
                return BY_WORD[part], 0.8 if len(words) <= 4 else 0.6
    return None


def is_other(heading: str) -> bool:
    """Whether it names what no entry holds: a price, a number, when a row was added."""
    return bool(set(plain(heading).split()) & _OTHERWISE)


def is_plural(heading: str) -> bool:
    """Whether it promises several acts a row: 'Acts', 'Line-up', 'Künstler'."""
    return plain(heading) in _PLURALS


_PLURALS = frozenset(
    plain(word)
    for word in [
        "artists",
        "bands",
        "acts",
        "performers",
        "lineup",
        "line up",
        "musicians",
        "headliners",
        "interpreten",
        "artistes",
        "groupes",
        "artistas",
        "bandas",
        "grupos",
        "artisti",
        "gruppi",
        "artiesten",
        "kunstnere",
        "artister",
        "esiintyjät",
        "wykonawcy",
        "исполнители",
        "出演者",
        "cartel",
        "played",
        "seen",
    ]
)


def base(heading: str) -> str:
    """A heading without its number: 'Band 2', 'artist_3' -> 'band', 'artist'."""
    return _DIGITS.sub("", plain(heading))
