"""What users see: shows that were found, to be confirmed; their journal, imports, friends, settings.

    words     language, dates and numbers of who reads
    frame     what every page has: session, forms, addresses
    cards     an entry as its card shows it
    maps      places on the bundled picture of the world
    the rest  a room each: the addresses of one part, over the same functions as the JSON routes

Forms carry a token of the session (CSRF); every POST answers with a redirect, so that reloading repeats nothing. The
script (static/gigz.js) sends the same forms and reads the same pages: what works with it works without.
"""
