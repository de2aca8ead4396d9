"""Heavymetal.dk: metal concerts in Denmark."""

from spiders.formats.html_page import HtmlSpider


class HeavymetalDkSpider(HtmlSpider):
    """The concert calendar. Its microdata name no venues, and acts are told apart by their links."""

    name = "heavymetal_dk"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://heavymetal.dk/koncertkalender"]  # noqa: RUF012
    row = "tr[itemprop=event]"
    fields = {  # noqa: RUF012
        "title": ".//*[@class='artists']/strong[../a] | .//*[@class='artists'][not(strong and a)]",
        "artist": ".artists > a", "support": ".artists > a:nth-of-type(n+2)",
        "date": ("meta::attr(content)", "re:replace(string(.//meta[2]/@content), '^(?=.)', '', '- ')"),
        "venue": "substring-before(.//td[@itemprop='location']/a, ', ')",
        "city": "substring-after(.//td[@itemprop='location']/a, ', ')"}  # fmt: skip
    link = ".event-meta a::attr(href)"
    house = {"country": "DK"}  # noqa: RUF012
