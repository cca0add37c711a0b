// What is typed into an override is priced while it is typed: the server counts, as it does for jobs.

const shown = document.querySelector("[data-hub-preview]");
const form = shown?.closest("form");
const PAUSE_MS = 250;

if (form) {
  const names = shown.dataset.names.split(" ");
  let waiting;
  let latest = 0;

  const ask = async () => {
    const number = (latest += 1);
    const typed = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (names.includes(name)) typed.append(name, value);
    }
    if (shown.dataset.model) typed.set("model_id", shown.dataset.model);
    const answer = await fetch(`${shown.dataset.url}?${typed}`, { credentials: "same-origin" });
    const said = await answer.text();
    // An answer that was overtaken by another question says nothing any more.
    if (answer.ok && number === latest) shown.innerHTML = said;
  };

  const later = (event) => {
    if (!names.includes(event.target.name)) return;
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE_MS);
  };

  form.addEventListener("input", later);
  form.addEventListener("change", later);
  // The list of models is Select2's, which tells jQuery's listeners only.
  window.django?.jQuery?.(form).on("change", later);
}
