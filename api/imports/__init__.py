"""What users have, as entries: any file of theirs is read, shown, corrected, and only then kept.

    uploads      bytes, their encoding, their lines         headings, columns    which column is what, and why
    tables       CSV, Markdown, HTML                        entries              a row by its layout
    lists        plain lists                                identity             hashes and ids; a file imported again
    documents    JSON, setlist.fm, Songkick, Bandsintown    reading, reporting   the whole way, and the dry run
    calendars, mails, photos, archives                      unmatched            what could not be read, as it was

    jobs, worker, process    the same in processes of their own, for the API
    intake                   what is kept of an upload          attended     a user's list from setlist.fm

`reading.read` is the way in. Nothing here knows of a store: `api/importing` is what happens over HTTP.
"""
