"""GET /v1/export: everything that there is of a user, read in one snapshot, sent as it is read.

    kinds      what there is, place by place of schemas/erasure.py; what is left out, and why
    rows       the snapshot, read a few rows at a time
    json_file  one JSON document
    zip_file   a zip of CSV files, one a kind, and of what was uploaded
    routes     the route

Memory is bounded by a few hundred rows, or one piece of an upload, whatever there is in all.
"""
