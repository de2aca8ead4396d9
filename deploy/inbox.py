"""Where a user's entries stand: said once, for the lists of the API and for the digest that counts what they show.

`ENTRIES` begins a statement with the rows `entries` (entry_id, confidence, body, band, origin, state, shown) of `:user`
at `:now`. body is the set as match left it; shown are the ids of what was not refused of it, best first, and band is
that of the first. state is open, confirmed, dismissed, snoozed or nothing. Companions and habits are left out as soon
as they are switched off.
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
    select found.entry_id, found.confidence, found.body, coalesce(left_over.band, found.body #>> '{suggestions,0,band}')
        as band, coalesce(found.body->>'origin', 'entry') as origin,
        case
            when standing.confirmed then 'confirmed'
            when left_over.number > 0 and standing.snoozed then 'snoozed'
            when left_over.number > 0 then 'open'
            when standing.refused is not null then 'dismissed'
            else 'nothing'
        end as state,
        left_over.shown
    from state.suggestions found
    cross join wishes
    left join standing using (entry_id)
    cross join lateral (
        select count(*) as number, (array_agg(one->>'band' order by place))[1] as band,
            array_agg(cast(one->>'suggestion_id' as uuid) order by place) as shown
        from jsonb_array_elements(found.body->'suggestions') with ordinality as listed (one, place)
        where standing.refused is null or not (
            (one->>'suggestion_id') || ' ' = any(standing.refused)
            or (one->>'suggestion_id') || ' ' || coalesce(one->>'signature', '') = any(standing.refused))
    ) left_over
    where found.user_id = :user and found.body->>'reason' is distinct from 'entry_deleted'
        and case found.body->>'origin'
            when 'companion' then wishes.companions or coalesce(standing.confirmed, false)
            when 'habit' then wishes.habits or coalesce(standing.confirmed, false)
            else true
        end
)
"""
