"""How much each agreement between an entry and a concert is worth.

Unit    bits, log2(m/u): they add; 10 bits are odds of about 1000 to 1
Source  set by hand, not fitted. m is the share of right pairs that agree so, u of wrong pairs. Where a comment gives a
        count, it was taken with `evidence` on the 786 pairs labelled `match` in two listeners' histories (u: on 164,889
        other pairs of every fourth of those entries); everything else is assumed. The values were chosen with all of
        these histories in sight, so figures on them are no held-out figures.
Caution every one of the 786 has the right date, for that is how they were labelled: what a wrong date is worth cannot
        be counted there. u is taken from the world at large rather than counted, since a catalogue made of the right
        concerts alone is too small to show chance agreement.
Model   Fellegi & Sunter 1969, doi:10.1080/01621459.1969.10501049
"""

from math import log2

WEIGHTS_VERSION = "1"
"""Goes up with every change of a number below: travels with every suggestion."""

NIGHTS = 10_000
"""u of one night is its inverse: 27 years of evenings. Assumed."""
PRIOR = -20.0
"""A catalogue of a million concerts, one of which is meant."""

ARTIST = {
    "exact": log2(0.94 * 40_000),  # counted 774 of 786, m lower for worse typists; u assumed: 40,000 acts
    "part": log2(0.03 * 10_000),  # counted 9 of 786: 'Peter Hook' and 'Peter Hook & the Light'
    "close": log2(0.02 * 60_000),  # counted 2 of 786; hardly anyone else is called so
    "similar": log2(0.01 * 6_000),  # assumed; counted 0 of 786
    "related": log2(0.004 * 300),  # counted 1 of 786; u counted 50 of 164,889, assumed higher
    "different": -12.0,  # counted 0 of 786: the other acts of a bill agree in all the rest
}
SHORT_NAME = -2.5
"""For names up to three letters: several acts share them."""
TRIBUTE = -14.0
"""One side plays the other's songs."""

SAME_NIGHT = log2(0.94 * NIGHTS)
ONE_DAY_OFF = log2(0.01 * NIGHTS)  # assumed: .01 to each side
FEW_DAYS_OFF = log2(0.0005 * NIGHTS)  # assumed; 2-7 days
YEAR_OFF = log2(0.003 * NIGHTS)  # assumed; the same day of a neighbouring year
SWAPPED = log2(0.002 * NIGHTS)  # assumed; day and month changed places
MONTH_OFF = log2(0.0001 * NIGHTS)
OTHER_NIGHT = -8.0
INTERVAL_RIGHT = 0.95
"""A typed month or year holds the night so often: assumed."""
INTERVAL_EDGE = 0.03
"""It was within half the interval's length outside."""

TOWN_SAME = {5_000_000: 5.5, 1_000_000: 6.5, 100_000: 7.5, 0: 8.5}
"""By people: 'same town' says less of London than of Vila Real. Counted 772 of 786; the steps assumed."""
TOWN_UNLISTED = 8.0
TOWN_SUBURB = 4.0  # counted 14 of 786: Los Angeles for Universal City
TOWN_FAR = -7.0  # counted 0 of 786; u counted .70
TOWN_OTHER = -4.0  # a village that the gazetteer does not know may lie beside the town
REGION = {True: 4.0, False: -4.0}
COUNTRY = {True: 2.5, False: -6.0}
"""Only where the towns cannot be compared."""

VENUE_HERE = {"same": 5.0, "part": 4.5, "similar": 3.0, "different": -2.0}
"""Given the same town. 'Kia Forum' and 'Great Western Forum' are one hall: of 231 pairs with a
venue on both sides counted 168 same, 39 part, 6 similar, 18 different."""
VENUE_ALONE = {"same": 9.0, "part": 7.0, "similar": 3.0, "different": -3.0}
"""Where the town is not known."""

DISTANCE = {2.0: 9.0, 10.0: 6.5, 40.0: 4.5, 150.0: 0.0}
"""By kilometres up to."""
DISTANCE_FAR = -8.0

SONG_PLAYED = 2.1
"""Assumed: m .85, u .2 among the nights of one artist. No entry of the histories remembers songs."""
SONG_MISSING = -2.4
SONGS_MOST = 10.0
SETLIST_COMPLETE = 8
"""Songs: a shorter list may lack what was played."""

TIME_NEAR = 1.0
TIME_FAR = -1.5

SURE, LIKELY, POSSIBLE = 0.99, 0.8, 0.3
SURE_MARGIN = 6.0
"""Bits to the second."""
OFF_NIGHT_MOST = 0.75
"""Confidence of a concert on a night that was not typed, so that it never reads better than possible. The 53 pairs
labelled `other_date` (29 of them a day off) are all said not to be the show. Assumed."""
SHOWN_BESIDE = 0.02
"""Of the set's further members, where the set as a whole is likelier than not."""
