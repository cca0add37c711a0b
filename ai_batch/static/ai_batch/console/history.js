// Every batch of the brand, with filters; running ones move by server-sent events, all of it every 30 seconds,
// and every five while more of them run than are listened to.
import { BatchCard } from "./batch.js";
import { Component, html } from "./markup.js";
import { get, isOver, watch } from "./session.js";
import { dayStart, lists, state as words, t } from "./texts.js";

const PAGE = 20;
const REFRESH_MS = 30_000;
/** A stream that ended before its batch is opened again after so long. */
const PAUSE_MS = 1_000;
/** A browser opens six connections to a host; the rest is the page's own. */
const STREAMS = 3;
const SOON_MS = 5_000;
const NONE = { status: "", endpoint: "", search: "", since: "", until: "" };

/** How long until all of it is asked for again. */
export function pauseFor(running) {
  return running > STREAMS ? SOON_MS : REFRESH_MS;
}

export class History extends Component {
  state = { batches: null, more: false, filters: NONE, failed: "" };
  streams = new Map();

  componentDidMount() {
    this.load();
  }

  componentWillUnmount() {
    this.asked = null;
    clearTimeout(this.timer);
    clearTimeout(this.typing);
    for (const stream of this.streams.values()) stream.abort();
  }

  componentDidUpdate(before) {
    if (before.changes !== this.props.changes) this.load();
  }

  query(after, limit) {
    const { status, endpoint, search, since, until } = this.state.filters;
    const query = new URLSearchParams({ limit });
    if (status) query.set("status", status);
    if (endpoint) query.set("endpoint", endpoint);
    if (search) query.set("search", search);
    if (since) query.set("created_after", dayStart(since));
    if (until) query.set("created_before", dayStart(until, 1));
    if (after) query.set("after", after);
    return `/api/batch/list?${query}`;
  }

  /** What is shown, anew; as many as were there. */
  load = async () => {
    const shown = Math.min(100, Math.max(PAGE, this.state.batches?.length ?? 0));
    const asked = (this.asked = {});
    try {
      const page = await get(this.query(null, shown));
      if (asked !== this.asked) return;
      this.setState({ batches: page.data, more: page.has_more, failed: "" }, this.follow);
    } catch (error) {
      if (asked === this.asked) this.setState({ failed: error.message }, this.loadLater);
    }
  };

  loadLater = () => {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.load, pauseFor(this.running().length));
  };

  running() {
    return (this.state.batches ?? []).filter((each) => !isOver(each));
  }

  older = async () => {
    try {
      const page = await get(this.query(this.state.batches.at(-1)?.id, PAGE));
      const seen = new Set(this.state.batches.map((each) => each.id));
      const added = page.data.filter((each) => !seen.has(each.id));
      this.setState(({ batches }) => ({ batches: [...batches, ...added], more: page.has_more }), this.follow);
    } catch (error) {
      this.setState({ failed: error.message });
    }
  };

  /** Listen to the first running batches; what breaks off is looked for again with the next refresh. */
  follow = () => {
    const wanted = new Set(this.running().slice(0, STREAMS).map((each) => each.id));
    for (const [id, stream] of this.streams) if (!wanted.has(id)) this.forget(id, stream);
    for (const id of wanted) if (!this.streams.has(id)) this.listen(id);
    this.loadLater();
  };

  forget(id, stream) {
    this.streams.delete(id);
    stream.abort();
  }

  async listen(id) {
    const stream = new AbortController();
    this.streams.set(id, stream);
    try {
      while (!stream.signal.aborted && !(await watch(id, this.replace, stream.signal))) {
        await new Promise((done) => setTimeout(done, PAUSE_MS));
      }
    } catch {
      return; // the refresh every 30 seconds goes on, and listens again
    } finally {
      if (this.streams.get(id) === stream) this.streams.delete(id);
    }
    if (!stream.signal.aborted) this.props.changed();
  }

  replace = (batch) => {
    const before = this.state.batches?.find((each) => each.id === batch.id);
    if (isOver(batch) && before && !isOver(before)) {
      this.props.say(t("The batch {name} is now: {status}.", {
        name: batch.metadata?.name ?? batch.input_filename ?? batch.id, status: words(batch.status),
      }));
    }
    this.setState(({ batches }) => ({
      batches: batches?.map((each) => (each.id === batch.id ? batch : each)) ?? null,
    }));
  };

  filter = (event) => {
    const { name, value } = event.target;
    this.setState(({ filters }) => ({ filters: { ...filters, [name]: value } }), () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(this.load, name === "search" ? 300 : 0);
    });
  };

  filters({ status, endpoint, search, since, until }) {
    return html`<form class="filters" role="search" aria-label=${t("Filters")} onSubmit=${(e) => e.preventDefault()}>
      <label>${t("Search")}<input type="search" name="search" value=${search} maxlength="80" onInput=${this.filter}
        placeholder=${t("File name or id")} /></label>
      <label>${t("Status")}<select name="status" value=${status} onChange=${this.filter}>
        <option value="">${t("All")}</option>
        ${lists.statuses.map((each) => html`<option value=${each}>${words(each)}</option>`)}</select></label>
      <label>${t("Endpoint")}<select name="endpoint" value=${endpoint} onChange=${this.filter}>
        <option value="">${t("All")}</option>
        ${lists.endpoints.map((each) => html`<option>${each}</option>`)}</select></label>
      <label>${t("From")}<input type="date" name="since" value=${since} onChange=${this.filter} /></label>
      <label>${t("To")}<input type="date" name="until" value=${until} onChange=${this.filter} /></label>
    </form>`;
  }

  render({ made, say, changed }, { batches, more, filters, failed }) {
    return html`<section aria-labelledby="history">
      <div class="heading"><h2 id="history">${t("History")}</h2>
        <button type="button" class="plain" onClick=${this.load}>${t("Refresh")}</button></div>
      ${this.filters(filters)}
      ${failed && html`<p class="alert" role="alert">${failed}</p>`}
      ${batches?.length === 0 && html`<p class="hint">${t("No batches.")}</p>`}
      <ul class="batches">${batches?.map((batch) => html`
        <${BatchCard} key=${batch.id} batch=${batch} isNew=${batch.id === made} say=${say} changed=${changed}
          replace=${this.replace} />`)}</ul>
      ${more && html`<button type="button" class="plain" onClick=${this.older}>${t("Older batches")}</button>`}
    </section>`;
  }
}
