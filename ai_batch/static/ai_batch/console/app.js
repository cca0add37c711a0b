// The page of batches: signed out a form, signed in statistics, a new batch, the history, schedules.
import { Creation } from "./creation.js";
import { History } from "./history.js";
import { Component, createRef, html, render } from "./markup.js";
import { Schedules } from "./schedules.js";
import * as session from "./session.js";
import { SignIn } from "./signin.js";
import { Statistics } from "./statistics.js";
import "./languages.js";
import { t } from "./texts.js";

class App extends Component {
  constructor() {
    super();
    this.state = { me: null, isIn: session.isSignedIn() && !session.invitation(), said: "", failed: "", changes: 0, made: null };
    this.main = createRef();
    session.onSignedOut(() => this.setState({ isIn: false, me: null }));
  }

  componentDidMount() {
    if (this.state.isIn) this.load();
  }

  /** Who is signed in; the page without it stays empty. */
  load = async () => {
    if (!session.isSignedIn()) {
      this.setState({});
      return;
    }
    try {
      const me = await session.get("/auth/me/");
      if (!session.brand() && me.brand) session.chooseBrand(me.brand.id);
      this.setState({ me, isIn: true, failed: "" });
      this.main.current?.focus();
    } catch (error) {
      this.setState({ failed: error.message, isIn: session.isSignedIn() });
    }
  };

  /** Tell screen readers (and everybody) what has happened. */
  say = (said) => this.setState({ said: "" }, () => this.setState({ said }));

  /** Something of the brand has changed: figures and lists are read again. */
  changed = (made = null) => this.setState(({ changes }) => ({ changes: changes + 1, made }));

  choose = (event) => {
    session.chooseBrand(event.target.value);
    this.changed();
  };

  header(me) {
    const brands = me?.companies.flatMap((company) => company.brands) ?? [];
    return html`<header class="bar">
      <h1>${t("Batches")}</h1>
      ${me && html`<div class="who">
        ${brands.length > 1 && html`<label>${t("Brand")}
          <select onChange=${this.choose} value=${session.brand()}>
            ${brands.map((each) => html`<option value=${each.id}>${each.name}</option>`)}
          </select></label>`}
        <span>${t("Signed in as {name}", { name: me.username })}</span>
        <button type="button" class="plain" onClick=${session.signOut}>${t("Sign out")}</button>
      </div>`}
    </header>`;
  }

  render(_, { me, isIn, said, failed, changes, made }) {
    const key = session.brand();
    const shared = { say: this.say, changed: this.changed, changes };
    return html`${this.header(me)}
      <p class="said" role="status" aria-live="polite">${said}</p>
      ${failed && html`<p class="alert" role="alert">${failed}</p>`}
      <main ref=${this.main} tabindex="-1" id="main">
        ${!isIn && html`<${SignIn} done=${this.load} />`}
        ${isIn && me && html`
          <${Statistics} key=${`s${key}`} ...${shared} />
          <${Creation} key=${`c${key}`} ...${shared} />
          <${History} key=${`h${key}`} made=${made} ...${shared} />
          <${Schedules} key=${`r${key}`} ...${shared} />`}
        ${isIn && !me && !failed && html`<p>${t("Loading…")}</p>`}
      </main>`;
  }
}

render(html`<${App} />`, document.getElementById("console"));
