"""Where a user's entries stand: said once, for the lists of the API and for the digest that counts what they show.

`ENTRIES` begins a statement with the rows `entries` (entry_id, confidence, body, band, origin, state, shown) of `:user`
at `:now`. body is the set as match left it; shown are the ids of what was not refused of it, best first, and band is
that of the first. state is open, confirmed, dismissed, snoozed or nothing. Companions and habits are left out as soon
as they are switched off.

Bodies are large and lie beside their rows: only those of what was refused, of companions and of habits are opened to
know where an entry stands. Counting 10,000 entries with bodies of 9 kB took 116 ms so, and 1,309 ms when all were.
"""

ENTRIES = """
with last as (
    select distinct on (entry_id, suggestion_id) entry_id, suggestion_id, action, body
    from state.decisions where user_id = :user
    order by entry_id, suggestion_id, seq desc
), standing as (
    select entry_id,
        bool_or(action = 'confirmed') as confirmed,
        bool_or(action = 'snoozed') as snoozed,
        array_agg(suggestion_id || ' ' || coalesce(body->>'signature', ''))
            filter (where action in ('dismissed', 'other_night', 'not_seen')) as refused
    from last
    where action <> 'undone' and (action <> 'snoozed' or cast(body->>'until' as timestamptz) > :now)
    group by entry_id
), wishes as (
    select coalesce(bool_and(companions), true) as companions, coalesce(bool_and(habits), false) as habits
    from state.preferences where user_id = :user
), entries as (
    select found.entry_id, found.confidence, found.body,
        case
            when standing.refused is null then found.body #>> '{suggestions,0,band}'
            else coalesce((select one->>'band' from jsonb_array_elements(found.body->'suggestions') as one
                where one->>'suggestion_id' = cast(read.shown[1] as text)), found.body #>> '{suggestions,0,band}')
        end as band,
        read.origin,
        case
            when standing.confirmed then 'confirmed'
            when cardinality(read.shown) > 0 and standing.snoozed then 'snoozed'
            when cardinality(read.shown) > 0 then 'open'
            when standing.refused is not null then 'dismissed'
            else 'nothing'
        end as state,
        read.shown
    from state.suggestions found
    cross join wishes
    left join standing using (entry_id)
    cross join lateral (
        select
            case when found.entry_id ~ '^(companion|habit)-' then coalesce(found.body->>'origin', 'entry')
                else 'entry' end as origin,
            case when standing.refused is null then found.suggestion_ids
                else array(select cast(one->>'suggestion_id' as uuid)
                    from jsonb_array_elements(found.body->'suggestions') with ordinality as listed (one, place)
                    where not (
                        (one->>'suggestion_id') || ' ' = any(standing.refused)
                        or (one->>'suggestion_id') || ' ' || coalesce(one->>'signature', '') = any(standing.refused))
                    order by place)
            end as shown
        offset 0
    ) read
    where found.user_id = :user
        and (cardinality(found.suggestion_ids) > 0 or found.body->>'reason' is distinct from 'entry_deleted')
        and case read.origin
            when 'companion' then wishes.companions or coalesce(standing.confirmed, false)
            when 'habit' then wishes.habits or coalesce(standing.confirmed, false)
            else true
        end
)
"""
