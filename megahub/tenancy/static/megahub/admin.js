// What unfold's pages say to Alpine in words that only a compiler understands ('unsafe-eval', which the
// policy forbids): said so that Alpine's other build understands it (docs/decisions/0010-pages.md).
(() => {
  const OPEN = "sidebarDesktopOpen";

  /** What the body's x-data and x-init would have done, and the functions that attributes name. */
  const body = (tab) => () => ({
    activeTab: tab === null ? "" : getCurrentTab() || tab,
    sidebarMobileOpen: false,
    sidebarDesktopOpen: (localStorage.getItem(OPEN) ?? "1") === "1",
    moveRecords,
    sortRecords,
    /** Where a form goes: to this page, on the tab that is open. */
    here(tab) {
      const { pathname, search } = window.location;
      return pathname + search + (tab && tab !== "general" ? `#${tab}` : "");
    },
    init() {
      this.$watch(OPEN, (value) => localStorage.setItem(OPEN, value ? "1" : "0"));
    },
  });

  const WHERE = ["on:focus", "on:click", "on:keydown.escape.prevent", "on:keydown.enter.prevent", "bind:action"]
    .map((name) => `[x-${name.replace(/[:.]/g, "\\$&")}]`).join();

  /** An attribute's words, and other words for the same. */
  const REWORDED = [
    [/^openSearchResults = true; currentIndex = 0$/, "$all(openSearchResults = true, currentIndex = 0)"],
    [/^openSearchResults = false; if \(\$refs\.searchInput\.value .*$/, "$emptied($refs.searchInput, openSearchResults = false)"],
    [/^sidebarDesktopOpen = !sidebarDesktopOpen; localStorage.*$/, "sidebarDesktopOpen = !sidebarDesktopOpen"],
    [/^if \(!\$event\.metaKey && !\$event\.ctrlKey\) (selectItem\(\w+, false\))$/, "$event.metaKey || $event.ctrlKey || $1"],
    [/^activeTab && activeTab !== 'general' \? window\.location\..*$/, "here(activeTab)"],
  ];

  function reword(element) {
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith("x-")) continue;
      const [said, instead] = REWORDED.find(([each]) => each.test(value.trim())) ?? [];
      if (said) element.setAttribute(name, value.trim().replace(said, instead));
    }
  }

  document.addEventListener("alpine:init", () => {
    for (const part of [theme, searchForm, searchDropdown, searchCommand]) Alpine.data(part.name, part);
    Alpine.magic("all", () => () => undefined);
    // A first Escape empties what is searched for, a second one leaves it.
    Alpine.magic("emptied", () => (input) => (input.value === "" ? input.blur() : (input.value = "")));
    const data = document.body.getAttribute("x-data") ?? "";
    if (data.includes(OPEN)) {
      const tab = /activeTab: '([^']*)'/.exec(data);
      Alpine.data("hubPage", body(tab && tab[1]));
      document.body.setAttribute("x-data", "hubPage");
      document.body.removeAttribute("x-init");
    }
    document.querySelectorAll(WHERE).forEach(reword);
  });
})();
