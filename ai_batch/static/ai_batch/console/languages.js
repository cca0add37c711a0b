// The links that choose the page's language: who is signed in gets their mails in it, too.
import { isSignedIn, send } from "./session.js";

for (const link of document.querySelectorAll("nav.languages a")) {
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // The page is told in it all the same: the hub says what it refuses when it is asked again.
    if (isSignedIn()) await send("/auth/me/", { language: link.hreflang }, "PATCH").catch(() => {});
    location.assign(link.href + location.hash);
  });
}
