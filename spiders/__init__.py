"""Crawl: format bases, one short file for each source, delivery to Kafka, a record of every run.

formats/      what a whole family of sources has in common: how to page, what to read, where the ids are
sources/      one source each: its name, its address, its licence, its pace
polite/       how every spider behaves on other people's servers
delivery/     items to Kafka: an item counts when it was acknowledged
crawling      one crawl, through Scrapy into a delivery
crawl         one run of one spider, in a process of its own: the crawl, its record, its consequences
runs/         what Postgres keeps of a run; its log; watermarks
monitoring/   a run beside the good ones before it, and who is told
schedule/     when runs begin, the process that starts them, what operators can do
wanted        what users' entries ask for, for spiders that can search
authoring/    what Gigz would make of an address; a new source with its saved answer and test
commands/     all of it at the command line
errand        what a crawl is sent for
"""
