// What can be seen to be wrong with a page: every function gives a list of findings, in words. See looking.py.
(() => {
  const css = (e) => getComputedStyle(e);
  const words = (e, most = 40) => (e.textContent || e.name || e.id || "").trim().replace(/\s+/g, " ").slice(0, most);
  const named = (e) => `<${e.tagName.toLowerCase()} class="${e.getAttribute("class") ?? ""}"> ${words(e)}`;
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen");
  const rolls = (e) => ["auto", "scroll", "hidden", "clip"].includes(css(e).overflowX);

  const inside = (e) => {
    for (let one = e.parentElement; one && one !== document.body; one = one.parentElement) if (rolls(one)) return true;
    return false;
  };

  const wide = () => {
    const [is, may] = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
    if (is <= may) return [];
    const over = [...document.body.querySelectorAll("*")].filter(
      (e) => e.getBoundingClientRect().right > may + 0.5 && !inside(e),
    );
    return [`${is} px wide: ${over.slice(-3).map(named).join(", ") || "something"}`];
  };

  const cut = () => {
    const clips = (overflow) => ["hidden", "clip"].includes(overflow);
    const found = [...document.body.querySelectorAll("*")].filter((e) => {
      if (!seen(e) || e.closest("svg") || e.matches("input, textarea, select, option") || e.clientWidth < 2) return false;
      const across = clips(css(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
      return across || (clips(css(e).overflowY) && e.scrollHeight > e.clientHeight + 1);
    });
    return found.slice(0, 3).map((e) => `cut off: ${named(e)}`);
  };

  const small = (least) => {
    const found = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.data.trim();
      const e = walker.currentNode.parentElement;
      if (!text || !seen(e) || e.closest("template, script, title, desc")) continue;
      const drawn = e.ownerSVGElement ? Math.abs(e.getScreenCTM?.()?.d ?? 1) : 1;
      const size = parseFloat(css(e).fontSize) * drawn;
      if (size < least - 0.01) found.add(`text of ${size.toFixed(1)} px: ${text.slice(0, 40)}`);
    }
    return [...found].slice(0, 4);
  };

  const narrow = (least) => {
    const pressed = document.querySelectorAll(
      "button, summary, select, textarea, input:not([type=hidden], [type=checkbox], [type=radio]), a.button, nav a, .tabs a",
    );
    const found = [...pressed].filter((e) => {
      const box = e.getBoundingClientRect();
      return seen(e) && !e.disabled && box.width > 1 && box.height < least - 0.5;
    });
    return found.slice(0, 4).map((e) => `${Math.round(e.getBoundingClientRect().height)} px high: ${named(e)}`);
  };

  const moving = () => {
    const runs = document.getAnimations().filter((one) => one.playState === "running");
    const smooth = [...document.querySelectorAll("*")].filter((e) => css(e).scrollBehavior === "smooth");
    return [
      ...runs.map((one) => `moves: ${one.animationName ?? one.transitionProperty}`),
      ...smooth.slice(0, 1).map((e) => `scrolls smoothly: ${named(e)}`),
    ];
  };

  const LOOK = [
    ...["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "borderTopColor", "borderTopWidth"],
    ...["backgroundColor", "textDecorationLine", "left", "clipPath"],
  ];
  const look = (e) => LOOK.map((name) => css(e)[name]).join();
  const around = (e) => [e, ...(e.labels ?? []), e.nextElementSibling].filter(Boolean).map(look).join("|");

  const covered = (e) => {
    const box = e.getClientRects()[0] ?? e.getBoundingClientRect();
    if (box.width < 3) return false;
    const points = [[0.5, 0.5], [0.1, 0.5], [0.9, 0.5], [0.5, 0.15], [0.5, 0.85]];
    const own = [e, ...(e.labels ?? [])];
    return !points.some(([x, y]) => {
      const at = document.elementFromPoint(box.left + x * box.width, box.top + y * box.height);
      return at && own.some((one) => one.contains(at) || (one.closest("label, svg, summary, dialog") ?? one).contains(at));
    });
  };

  const unfocused = () => {
    const all = document.querySelectorAll(
      'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]',
    );
    const wrong = [];
    for (const e of all) {
      if (!e.checkVisibility({ visibilityProperty: true }) || e.disabled || e.tabIndex < 0 || e.closest("[inert]")) continue;
      document.activeElement?.blur();
      const before = around(e);
      e.focus();
      if (document.activeElement !== e) wrong.push(`takes no focus: ${named(e)}`);
      else if (around(e) === before) wrong.push(`its focus is not seen: ${named(e)}`);
      else if (covered(e)) wrong.push(`something lies over it when it has the focus: ${named(e)}`);
    }
    document.activeElement?.blur();
    scrollTo({ top: 0, behavior: "instant" });
    return wrong.slice(0, 5);
  };

  const unfold = () => {
    for (const one of document.querySelectorAll("details")) one.open = true;
  };

  // As people set text who read it with difficulty (WCAG 2.2, 1.4.12).
  const space = () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(
      "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }" +
        "p { margin-bottom: 2em !important }",
    );
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  };

  return { wide, cut, small, narrow, moving, unfocused, unfold, space };
})()
