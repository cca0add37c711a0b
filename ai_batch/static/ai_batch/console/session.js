// Who is signed in, and every call to the hub: the tokens live in this tab only.
import { language, lists, t } from "./texts.js";

const ACCESS = "megahub.access";
const REFRESH = "megahub.refresh";
const BRAND = "megahub.brand";
let renewal = null;
let whenOut = () => {};

/** What the hub refused, in its own words. */
export class Refusal extends Error {
  constructor(status, body) {
    super(words(body) || t("The hub answered with status {status}.", { status }));
    this.status = status;
    this.code = body?.error_code;
  }
}

function words(body) {
  if (!body || typeof body !== "object") return "";
  const fields = Object.entries(body.field_errors ?? {}).map(([name, said]) => `${name}: ${said.join(" ")}`);
  const said = typeof body.detail === "string" ? body.detail : body.error?.message ?? "";
  return fields.length ? `${said} ${fields.join(" ")}`.trim() : said;
}

export const isSignedIn = () => sessionStorage.getItem(REFRESH) !== null;
export const brand = () => sessionStorage.getItem(BRAND) ?? "";
export const chooseBrand = (id) => sessionStorage.setItem(BRAND, id);
export const onSignedOut = (told) => { whenOut = told; };

function keep(pair) {
  sessionStorage.setItem(ACCESS, pair.access);
  sessionStorage.setItem(REFRESH, pair.refresh);
}

function forget() {
  for (const name of [ACCESS, REFRESH, BRAND]) sessionStorage.removeItem(name);
}

async function token(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Accept-Language": language },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(t("The hub cannot be reached."));
  }
  const told = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, told);
  return told;
}

/** Trade a name, a password and the code of a second factor ("" for none) for tokens. */
export async function signIn(username, password, otp) {
  keep(await token("/auth/token/", { username, password, otp }));
}

/** The token of the invitation that this page was opened with, "" for none: behind the #, no server sees it. */
export const invitation = () => new URLSearchParams(location.hash.slice(1)).get("invitation") ?? "";

/** Leave the invitation behind, taken or not. */
export function leaveInvitation() {
  history.replaceState(null, "", location.pathname);
}

/** Take the place that an invitation offers, with an account that there is or a new one. */
export async function accept(username, password, otp, isNew) {
  keep(await token("/auth/invitations/accept/", { token: invitation(), username, password, otp, new_account: isNew }));
  sessionStorage.removeItem(BRAND);
  leaveInvitation();
}

/** Give the tokens back, and forget them. */
export async function signOut() {
  const refresh = sessionStorage.getItem(REFRESH);
  forget();
  whenOut();
  if (refresh) await token("/auth/token/revoke/", { refresh }).catch(() => {});
}

/** New tokens for old ones; one trade at a time, for a refresh token is good once. */
function renew() {
  renewal ??= (async () => {
    try {
      keep(await token("/auth/token/refresh/", { refresh: sessionStorage.getItem(REFRESH) }));
      return true;
    } catch (error) {
      if (error instanceof Refusal && error.status < 500 && error.status !== 429) {
        forget();
        whenOut();
      }
      return false;
    } finally {
      renewal = null;
    }
  })();
  return renewal;
}

/** A call with the token, once more when it had run out. Throws Refusal. */
export async function call(path, options = {}, again = true) {
  const headers = {
    Authorization: `Bearer ${sessionStorage.getItem(ACCESS)}`,
    "Accept-Language": language,
    ...options.headers,
  };
  if (brand()) headers["X-Brand-ID"] = brand();
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Error(t("The hub cannot be reached."));
  }
  if (response.status === 401 && again && (await renew())) return call(path, options, false);
  if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => null));
  return response;
}

export const get = async (path) => (await call(path)).json();

/** POST (or another method) JSON, or a form. */
export async function send(path, body, method = "POST", headers = {}) {
  const isForm = body instanceof FormData;
  const response = await call(path, {
    method,
    headers: isForm || body === undefined ? headers : { "Content-Type": "application/json", ...headers },
    body: isForm || body === undefined ? body : JSON.stringify(body),
  });
  return response.json();
}

function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

/** Fetch a small file and hand it to the browser's own downloads. */
export async function download(path, name) {
  const address = URL.createObjectURL(await (await call(path)).blob());
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Have the browser load a file by itself, however large: by the link that the hub signs for it. */
export async function downloadByLink(path, name) {
  save((await get(path)).url, name);
}

/**
 * A batch's server-sent events until it has ended or `signal` aborts; `told` hears each batch.
 * True when the end was heard. (EventSource sends no token, so the stream is read here.)
 */
export async function watch(batchId, told, signal) {
  const response = await call(`/api/batch/${batchId}/events`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data: "));
      if (!data.length) continue;
      const batch = JSON.parse(data.map((line) => line.slice(6)).join("\n"));
      told(batch);
      if (isOver(batch)) return true;
    }
  }
}

export const isOver = (batch) => lists.over.includes(batch.status);
