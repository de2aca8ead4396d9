"""Imports over HTTP: uploaded, read, shown, corrected, applied, undone; `api/imports` reads the files.

routes     the calls                          runs      the work, apart from the calls; its states
uploads    what comes with an upload          leases    who works on an import
views      the shapes                         writes    entries into a history, and back
progress   server-sent events                 files     uploads in PostgreSQL
unread     rows that could not be read                turns     who may ask setlist.fm, and when
"""
