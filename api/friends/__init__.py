"""Friends: who follows whom, and what they show each other. docs/api/friends.md says what users see of it.

A follow is one user's wish. Two wishes, one each way, are a friendship; one alone is a request. As one of the two sees
it (`relations`):

    none ----- POST /v1/follows/{user} -----> requested          the other sees it among GET /v1/follows?direction=in
    requested ---- the other follows, too --> friends            by POST /v1/follows or .../accept
    requested ---- the other declines ------> requested          nothing that I could see
    requested, friends ---- DELETE ---------> none               what the other wished counts as declined by me
    friends ---- the other ends it ---------> requested
    any ---- POST /v1/blocks/{user} --------> blocked -- DELETE --> none; whatever the other does is unseen meanwhile

Nothing is looked up about the other: an id that nobody has is asked, listed and forgotten by the same statements as one
that somebody has. Only friends see anything (`shows`), and of shows only what their owner shows.

    relations    the rows, under one lock for each pair
    follows      the routes of follows, blocks and friends
    shows        GET /v1/friends/shows, GET /v1/concerts/{id}/friends
"""
