// What pages do beyond links and forms. All of it is declared in their HTML, and without this file every page still
// works: the same forms are sent and the same pages read, here by fetch, and parts of the answer are put in by id.
//   data-swap="ids"     on a form, button or link: sent by fetch, then these elements become those of the answer
//   data-live           on a field of a GET form with data-swap: sent while typing
//   data-stream="path"  server-sent events; each has the page read again and its data-swap put in. data-until: the last
//   data-news="path"    beside data-stream: where to ask what to say of new cards and of those decided elsewhere
//   data-drop           on a form with one file field: files dropped anywhere on the page go there and are sent
//   data-key="y"        pressed by that key: in the current card, else outside of all cards
//   data-card           an item of a list that is decided on; it has an id, and data-entry with the id of its entry
//   data-close          removes its [data-closable], or closes its dialog
//   data-busy="words"   on a submit button: said on it, and the button held, while its form is on its way
//   class="scripted"    shown only where this runs; "unscripted" only where it does not
// There are no words in here: they stand in the page (help.html) or come from the server.

const LONGEST_MS = 30_000; // for an answer, uploads aside, and between two tries
const GATHER_MS = 250; // keys, or events, that come together are one reading
const APART_MS = 2_000; // at least, between two readings, and between two tries, then doubled
const EVENTS = ["message", "ready", "progress", "suggestions", "decision", "reset"];
const FIELDS = "input:not([type=checkbox], [type=radio], [type=submit], [type=button]), textarea, select";

const $ = (id, page = document) => page.getElementById(id);
const cards = (within = document) => [...within.querySelectorAll("[data-card]")];
const isHeld = (element) => element?.getAttribute("aria-disabled") === "true";
const isBusy = (element) => element.getAttribute("aria-busy") === "true";
const flag = (element, name, on) => (on ? element.setAttribute(name, "true") : element.removeAttribute(name));
const topOf = (element) => element?.getBoundingClientRect().top;
const words = (id) => $(id).content.cloneNode(true);
const swapsOf = (...elements) => elements.find((one) => one?.dataset.swap)?.dataset.swap.split(/\s+/).filter(Boolean);

document.documentElement.classList.add("scripts");

// -- asking -----------------------------------------------------------------------------------------------------------

/** A page of ours, parsed. Throws where there is no answer, or one that says: later. */
async function read(address, options = {}) {
  const answer = await fetch(address, { headers: { accept: "text/html" }, cache: "no-store", ...options });
  if (answer.status === 401) {
    location.replace(location.href.split("#")[0]); // as a whole page it says how to sign in
    return new Promise(() => {});
  }
  if (answer.status === 429 || answer.status >= 500) throw new Error(`answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { page, address: answer.url, ok: answer.ok };
}

/** What the browser itself would send. Attributes are read as such: a field called "action" hides form.action. */
function requestOf(form, submitter) {
  const said = (name) => submitter?.getAttribute(`form${name}`) ?? form.getAttribute(name);
  const address = new URL(said("action") || location.href, location.href);
  const data = new FormData(form, submitter);
  const upload = said("enctype") === "multipart/form-data";
  if ((said("method") ?? "get").toLowerCase() === "post") {
    return { address, upload, method: "POST", body: upload ? data : new URLSearchParams(data) };
  }
  address.search = new URLSearchParams(data);
  return { address, method: "GET" };
}

let posts = Promise.resolve(); // one after the other: an answer that overtakes another would bring back what is gone
let written = 0; // how many posts began or ended: what was read across one is of before
const readings = new WeakMap(); // form -> what aborts its last reading
const failed = new Map(); // form -> its button, of what did not arrive

/** Sends a form as it is now and puts the answer in. */
async function send(form, submitter, ids, live = false) {
  const { address, method, body, upload } = requestOf(form, submitter);
  const stop = new AbortController();
  const own = form.closest("[data-card]");
  const release = live ? () => {} : hold(form, submitter, own);
  const before = posts;
  let done = () => {};
  if (method === "POST") {
    posts = new Promise((resolve) => (done = resolve));
    await before;
    written += 1;
  } else {
    readings.get(form)?.abort("newer");
    readings.set(form, stop);
  }
  const late = upload ? 0 : setTimeout(() => stop.abort("late"), LONGEST_MS);
  const answer = await read(address, { method, body, signal: stop.signal }).catch(() => null);
  clearTimeout(late);
  release();
  if (method === "POST") written += 1;
  done();
  if (stop.signal.reason === "newer") return;
  if (!answer) failed.set(form, submitter); // nothing was taken from the page
  if (!answer) return $("trouble").replaceChildren(words("trouble-words"));
  if (failed.delete(form) && !failed.size) $("trouble").replaceChildren();
  if (method === "POST") take(answer, ids, { keep: true, own, from: form });
  else if (take(answer, ids, { from: form })) remember(answer.address, ids, live);
}

/** Follows a link of ours, or goes back to where one was followed, and puts the answer in. */
async function visit(address, ids, link) {
  const answer = await read(address).catch(() => null);
  if (!answer) location.assign(address); // the browser says best what is wrong
  else if (take(answer, ids, { from: link }) && link) remember(answer.address, ids);
}

function remember(address, ids, live) {
  if (!history.state?.swap) history.replaceState({ swap: ids }, "");
  history[live ? "replaceState" : "pushState"]({ swap: ids }, "", address);
}

// -- holding and saying -----------------------------------------------------------------------------------------------

/** Holds the buttons of a form, or of its whole card, without taking the focus from them. Gives what lets go. */
function hold(form, submitter, card) {
  const buttons = [...(card ?? form).querySelectorAll("button")].filter((button) => !isHeld(button));
  const speaking = submitter?.dataset.busy ? submitter : form.querySelector("button[data-busy]");
  const label = [...(speaking?.childNodes ?? [])];
  const turn = (on) => {
    for (const button of buttons) flag(button, "aria-disabled", on);
    for (const one of [form, card]) if (one) flag(one, "aria-busy", on);
    speaking?.replaceChildren(...(on ? [speaking.dataset.busy] : label));
  };
  turn(true);
  return () => turn(false);
}

/** Says what the server refused, in its own words. */
function refused(page) {
  const told = [...page.querySelectorAll("main h1, main p, main li")].map((one) => one.textContent.trim());
  const notice = words("refused-words");
  notice.querySelector("p").textContent = told.slice(0, 3).join(" ");
  $("trouble").replaceChildren(notice);
  look();
}

/** Puts a notice into a card, and has a screen reader say it. */
function mark(card, notice) {
  const stay = steady(looked());
  $("said").textContent = notice.textContent.trim();
  card.append(notice);
  stay();
}

// -- putting in -------------------------------------------------------------------------------------------------------

/** Gives what scrolls a card, or what came in its place, to where the card is now. */
function steady(card) {
  const top = topOf(card);
  return (now = card) => now?.isConnected && scrollBy({ top: topOf(now) - top, behavior: "instant" });
}

/** Puts parts of an answer in. `keep`: nothing that is looked at moves, and cards are brought up to date one by one. */
function take({ page, address, ok }, ids, { keep, own, from } = {}) {
  if (ids.some((id) => $(id) && !$(id, page))) return void (ok ? location.assign(address) : refused(page));
  const focus = document.activeElement ?? document.body;
  const place = cards().indexOf(own);
  const stay = steady(own ?? looked());
  let merged = {};
  for (const [old, fresh] of ids.map((id) => [$(id), $(id, page)])) {
    if (!old || !fresh) continue;
    if (keep && (cards(old).length || cards(fresh).length)) merged = merge(old, fresh, own, from);
    else put(old, fresh, keep && !from && cards().length > 0);
  }
  document.title = page.title || document.title;
  attend();
  const heir = own ? cards()[place] : merged.restored; // what stands now in the place of the card that was decided
  if (keep) stay(own ? (heir ?? null) : undefined);
  const next = heir ?? (own && cards()[place - 1]);
  const lost = !focus.isConnected || focus === document.body;
  if (next && (lost || !own)) go(next, "instant");
  else if (lost) refocus(focus, ids, keep, from);
  if (keep) tell(merged);
  return true;
}

/** Puts a fresh element in the place of an old one that stays: a live region that is replaced says nothing. */
function put(old, fresh, asHigh) {
  const height = old.offsetHeight;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  old.replaceChildren(...fresh.childNodes);
  if (asHigh) old.style.minHeight = `${height}px`; // what is below does not come up
  for (const card of cards(old)) seen.set(card.id, lookOf(card));
}

/** Gives the focus to what is the same now; else, after a form or link, to what is wrong, or the part's heading. */
function refocus(was, ids, keep, from) {
  const parts = ids.map((id) => $(id)).filter((one) => one?.childNodes.length);
  const nameOf = (one) => one.name || one.getAttribute("href") || one.textContent;
  const alike = (one) => nameOf(one) === nameOf(was);
  const all = (selector) => parts.flatMap((part) => [...part.querySelectorAll(selector)]);
  const same = was !== document.body && ((was.id && $(was.id)) || all(was.localName).find(alike));
  const next = same || (from && (all("[aria-invalid=true]")[0] ?? parts[0]?.querySelector("h1, h2") ?? parts[0]));
  if (!next) return;
  if (!same && !next.matches(FIELDS)) next.tabIndex = -1;
  next.focus({ preventScroll: Boolean(keep) });
  if (same?.matches?.("[data-live]")) same.value = was.value;
  if (same?.matches?.("input[data-live]")) same.setSelectionRange(was.selectionStart, was.selectionEnd);
}

// -- lists of cards ---------------------------------------------------------------------------------------------------

const seen = new Map(); // id of a card -> what it said when it came
const fresher = new Map(); // id of a card -> as it is now
const found = new Set(); // entries that the stream told of

const lookOf = (card) => {
  const does = [...card.querySelectorAll("form, button")].map((one) => one.getAttribute("action") ?? one.value);
  return [card.textContent, ...does].join(" ").replace(/\s+/g, " ");
};

/** Brings the cards up to date: those here keep their places, new ones come under a heading at the end. */
function merge(old, fresh, own, from) {
  const coming = cards(fresh);
  const ids = new Set(coming.map((card) => card.id));
  if (own && !ids.has(own.id)) own.remove();
  if ($("since") && !cards($("since")).length) $("since").remove(), $("news").replaceChildren(); // all decided
  const here = new Map(cards().map((card) => [card.id, card]));
  const result = { added: [], gone: [...here.values()].filter((card) => !ids.has(card.id) && !isBusy(card)) };
  if (!here.size) {
    put(old, fresh);
    return { ...result, added: coming.filter((card) => found.has(card.dataset.entry)) };
  }
  const list = cards(old)[0]?.parentElement ?? old.querySelector("ol") ?? old;
  const last = coming.findLastIndex((card) => here.has(card.id));
  coming.forEach((card, place) => {
    const mine = here.get(card.id);
    if (mine && mine !== own && mine.dataset.elsewhere === undefined) {
      if (!isBusy(mine) && seen.get(card.id) !== lookOf(card)) changed(mine, card);
      return;
    }
    seen.set(card.id, lookOf(card));
    if (mine) {
      mine.replaceWith(card);
    } else if (from && !own) {
      const next = coming.slice(place + 1).map((one) => here.get(one.id)).find((one) => one?.parentElement === list);
      list.insertBefore(card, next ?? null); // an undo puts it back in its place
      result.restored = card;
    } else if (place < last || found.has(card.dataset.entry)) {
      newcomers(list).append(card);
      result.added.push(card);
    } else {
      list.append(card); // it came up from the next page
    }
  });
  return result;
}

/** The list under the heading of what came since; it is made when it is needed. */
function newcomers(list) {
  if (!$("since")) (list.closest("[id]") ?? list).after(words("since-words"));
  const under = $("since").querySelector("ol");
  return Object.assign(under, { className: list.className });
}

/** Marks a card of which something else is known now. */
function changed(card, now) {
  seen.set(card.id, lookOf(now));
  fresher.set(card.id, now);
  if (!card.querySelector(":scope > .changed")) mark(card, words("changed-words").firstElementChild);
}

/** Asks what to say of new cards, and of those that are not among the answer's, and says it. */
async function tell({ added = [], gone = [] }) {
  const path = document.querySelector("[data-news]")?.dataset.news;
  if (!path || !(added.length || gone.length)) return;
  const asked = new URLSearchParams(gone.map((card) => ["entry", card.dataset.entry]));
  if (added.length) asked.append("found", cards($("since") ?? document).length);
  const answer = await read(`${path}?${asked}`).catch(() => null);
  if (!answer) look(); // once more, a little later
  if (!answer?.ok) return;
  if (added.length) $("news").replaceChildren($("found", answer.page));
  for (const told of answer.page.querySelectorAll("[data-entry]")) {
    const card = gone.find((one) => one.isConnected && one.dataset.entry === told.dataset.entry);
    // Only the answer was lost, it seems: sent again, it comes to the same, and says so.
    if ([...failed.keys()].some((form) => card?.contains(form))) PRESSED["[data-again]"]();
    else if (card && card.dataset.elsewhere !== told.dataset.state) elsewhere(card, told);
  }
}

/** Marks a card that was decided on another device; it stays where it is until it is taken away. */
function elsewhere(card, told) {
  for (const before of card.querySelectorAll(":scope > .elsewhere, :scope > .changed")) before.remove();
  for (const one of card.querySelectorAll("a, button, summary")) flag(one, "aria-disabled", true), (one.tabIndex = -1);
  Object.assign(card.dataset, { elsewhere: told.dataset.state, closable: "" });
  mark(card, told);
}

// -- server-sent events -----------------------------------------------------------------------------------------------

const streams = new Map(); // path -> its stream
const over = new Set(); // paths of those that told their last

/** Follows the streams that the page has now, and leaves those that it has no more. */
function attend() {
  const paths = new Set([...document.querySelectorAll("[data-stream]")].map((one) => one.dataset.stream));
  for (const [path, stream] of streams) if (!paths.has(path)) streams.delete(path) && stream.close();
  for (const path of paths) if (!streams.has(path) && !over.has(path)) streams.set(path, follow(path));
}

/** Has all followed parts of the page read again. */
const look = () => streams.forEach((stream) => stream.later());

function follow(path) {
  const here = () => document.querySelector(`[data-stream="${CSS.escape(path)}"]`);
  const { until = "message" } = here().dataset;
  let [source, last, lost, wait, again, timer, latest] = [null, "", false, APART_MS, 0, 0, 0];
  const slower = () => (wait = Math.min(2 * wait, LONGEST_MS));

  function open() {
    if (source || over.has(path)) return;
    const address = new URL(path, location.href);
    if (last) address.searchParams.set("since", last); // the browser sends Last-Event-ID only where it tries by itself
    source = new EventSource(address);
    source.onopen = () => {
      if (lost) later(); // what was told meanwhile comes by Last-Event-ID, unless it was too much
      [lost, wait] = [false, APART_MS];
    };
    source.onerror = () => {
      lost = true;
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      again = setTimeout(open, wait);
      slower();
    };
    for (const name of new Set([...EVENTS, until])) source.addEventListener(name, heard);
  }

  function heard({ type, data, lastEventId }) {
    last = lastEventId || last;
    if (type === "suggestions") found.add(JSON.parse(data).entry_id);
    if (type !== "ready") later();
    if (type === until) over.add(path) && close();
  }

  function later(ms = Math.max(GATHER_MS, latest + APART_MS - Date.now())) {
    timer ||= setTimeout(reread, ms);
  }

  async function reread() {
    const [begun, turn] = [written, (latest = Date.now())];
    timer = 0;
    const answer = await read(location.href).catch(() => null);
    if (turn !== latest || !streams.has(path)) return; // another one is on its way
    if (answer && begun === written && begun % 2 === 0) take(answer, swapsOf(here()) ?? [], { keep: true });
    else later(answer ? APART_MS : slower()); // what was read across a post of ours is of before
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  open();
  return { open, close, later };
}

const comeBack = () => streams.forEach((stream) => (stream.open(), stream.later()));
let away = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(away);
  // A page that nobody sees gives its connection back: a browser has few.
  if (document.hidden) away = setTimeout(() => streams.forEach((stream) => stream.close()), LONGEST_MS);
  else comeBack();
});
addEventListener("online", comeBack);

// -- keys -------------------------------------------------------------------------------------------------------------

let latestCard = null;
document.addEventListener("focusin", ({ target }) => (latestCard = target.closest("[data-card]") ?? latestCard));

/** The card that keys act on: that with the focus, else the last that had it. */
const current = () =>
  document.activeElement?.closest("[data-card]") ?? (latestCard?.isConnected ? latestCard : null);

/** The card that is looked at: the current one, where it can be seen, else the first that can. */
const looked = () => [current(), ...cards()].find((card) => card?.getBoundingClientRect().bottom > 0);

/** Gives a card the focus and shows it. */
function go(card, behavior) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  card.tabIndex = -1;
  card.focus({ preventScroll: true });
  const block = card.offsetHeight > innerHeight ? "start" : "nearest";
  card.scrollIntoView({ block, behavior: behavior ?? (calm ? "instant" : "smooth") });
}

function step(by) {
  const [all, card] = [cards(), current()];
  go((card ? all[all.indexOf(card) + by] : all[0]) ?? card);
}

/** Presses what has that key. Where no card is current yet, the first becomes so and nothing is decided. */
function press(key) {
  const all = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].filter((one) => one.checkVisibility());
  const card = current();
  const target = all.find((one) => card?.contains(one)) ?? all.find((one) => !one.closest("[data-card]"));
  if (!target && !card && all.length) step(1);
  if (target && !isHeld(target)) target.click();
  return all.length > 0;
}

addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if ($("shortcuts")?.checked === false || key.length !== 1 || document.querySelector("dialog[open]")) return;
  if (target.closest?.(FIELDS) || target.isContentEditable) return;
  const [low, search] = [key.toLowerCase(), document.querySelector("input[type=search]")];
  if ((low === "j" || low === "k") && cards().length) step(low === "j" ? 1 : -1);
  else if (key === "?" && $("help")) $("help").showModal();
  else if (key === "/" && search) search.closest("details")?.setAttribute("open", ""), search.focus();
  else if (event.repeat || key === " " || !press(low)) return; // a key that is held down decides one card, not all
  event.preventDefault();
});

try {
  const kept = "gigz.shortcuts"; // single keys can be switched off, in this browser
  $("shortcuts").checked = localStorage.getItem(kept) !== "off";
  $("shortcuts").onchange = ({ target }) => localStorage.setItem(kept, target.checked ? "on" : "off");
} catch {} // storage is switched off: it holds until the page is left

// -- what is sent, pressed, typed and dropped -------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (event.defaultPrevented || form.getAttribute("method") === "dialog") return;
  const ids = swapsOf(submitter, form);
  const held = isHeld(submitter) || isBusy(form);
  if (held || ids) event.preventDefault();
  if (ids && !held) send(form, submitter, ids);
  // After the browser has taken up what it sends. A page that comes back out of its memory is let go again.
  else if (!held && form.querySelector("[data-busy]")) {
    setTimeout(() => addEventListener("pageshow", hold(form, submitter), { once: true }));
  }
});

const PRESSED = {
  "[data-help]": () => $("help").showModal(),
  "[data-close]": (button) => {
    const box = button.closest("[data-closable], dialog");
    if (!box || box.matches("dialog")) return box?.close();
    if (box.closest("#trouble")) failed.clear();
    const place = cards().indexOf(box);
    box.remove();
    const next = place < 0 ? current() : (cards()[place] ?? cards()[place - 1]);
    if (next) go(next, "instant");
    else $("main").focus({ preventScroll: true });
  },
  "[data-again]": () => {
    const all = [...failed].filter(([form]) => form.isConnected);
    failed.clear();
    $("trouble").replaceChildren();
    for (const [form, submitter] of all) send(form, submitter, swapsOf(submitter, form));
  },
  "[data-go]": () => ($("news").replaceChildren(), go(cards($("since") ?? document)[0] ?? $("main"))),
  "[data-show]": (button) => {
    const card = button.closest("[data-card]");
    const now = fresher.get(card.id);
    card.replaceWith(now);
    go(now, "instant");
  },
};

document.addEventListener("click", (event) => {
  const pressed = event.target.closest?.("a, button");
  if (!pressed || event.defaultPrevented) return;
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  const what = Object.keys(PRESSED).find((one) => pressed.matches(one));
  const link = plain && pressed.matches("a[data-swap]") && pressed.origin === location.origin;
  if (what || link || isHeld(pressed)) event.preventDefault();
  if (isHeld(pressed)) return;
  if (what) PRESSED[what](pressed);
  else if (link) visit(pressed.href, swapsOf(pressed), pressed);
});

const soon = new WeakMap(); // form -> what sends it
document.addEventListener("input", ({ target }) => {
  const ids = target.matches?.("[data-live]") && swapsOf(target.form);
  if (!ids || !target.form.checkValidity()) return;
  clearTimeout(soon.get(target.form));
  soon.set(target.form, setTimeout(() => send(target.form, null, ids, true), GATHER_MS));
});

addEventListener("popstate", ({ state }) => state?.swap && visit(location.href, state.swap));

for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    const form = event.dataTransfer?.types.includes("Files") && document.querySelector("form[data-drop]");
    document.documentElement.classList.toggle("dropping", Boolean(form) && kind === "dragover");
    if (!form || kind === "dragleave") return;
    event.preventDefault();
    const field = form.querySelector("input[type=file]");
    const files = new DataTransfer();
    for (const file of [...event.dataTransfer.files].slice(0, field.multiple ? undefined : 1)) files.items.add(file);
    if (kind !== "drop" || !files.files.length) return; // a folder, or something of another window
    field.files = files.files;
    form.requestSubmit();
  });
}

for (const card of cards()) seen.set(card.id, lookOf(card));
attend();
