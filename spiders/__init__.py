"""Crawl: format bases, one short file for each source, delivery to Kafka, a record of every run.

formats/    what a whole family of sources has in common: how to page, what to read, where the ids are
sources/    one source each: its name, its address, its licence, its pace
polite      how every spider behaves on other people's servers
delivery    items to Kafka: an item counts when it was acknowledged
runs        what Postgres keeps of a run
crawl       one run of one spider, in a process of its own
trying      what Gigz would make of an address, without publishing
scaffold    a new source: its file, a saved answer, a test
"""
