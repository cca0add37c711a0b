// The form that trades a name and a password for tokens; with an invitation it takes that, too.
import { Component, createRef, html } from "./markup.js";
import { accept, invitation, leaveInvitation, signIn } from "./session.js";
import { t } from "./texts.js";

export class SignIn extends Component {
  state = { failed: "", busy: false, second: false, isNew: false };
  name = createRef();
  code = createRef();

  componentDidMount() {
    this.name.current.focus();
  }

  submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    this.setState({ busy: true, failed: "" });
    try {
      const said = [form.get("username"), form.get("password"), form.get("otp") ?? ""];
      await (invitation() ? accept(...said, this.state.isNew) : signIn(...said));
      await this.props.done();
    } catch (error) {
      const second = this.state.second || error.code === "OTP_REQUIRED";
      this.setState({ failed: error.message, busy: false, second }, () => (this.code.current ?? this.name.current).focus());
    }
  };

  leave = async () => {
    leaveInvitation();
    await this.props.done();
  };

  render(_, { failed, busy, second, isNew }) {
    const odd = failed ? "sign-in-failed" : undefined;
    const invited = Boolean(invitation());
    const title = invited ? t("Accept the invitation") : t("Sign in");
    return html`<form class="card narrow" onSubmit=${this.submit} aria-label=${title}>
      <h2>${title}</h2>
      ${failed && html`<p class="alert" role="alert" id="sign-in-failed">${failed}</p>`}
      <label>${t("User name")}
        <input ref=${this.name} name="username" autocomplete="username" required aria-describedby=${odd} /></label>
      <label>${t("Password")}
        <input name="password" type="password" autocomplete=${isNew ? "new-password" : "current-password"} required
          aria-describedby=${odd} /></label>
      ${invited && html`<label class="check"><input type="checkbox" name="isNew" checked=${isNew}
        onChange=${(event) => this.setState({ isNew: event.target.checked })} /> ${t("Make a new account")}</label>`}
      ${second && html`<label>${t("Code of the second factor")}
        <input ref=${this.code} name="otp" autocomplete="one-time-code" required aria-describedby=${odd} /></label>`}
      <button disabled=${busy}>${busy ? t("Signing in…") : title}</button>
      ${invited && html`<button type="button" class="plain" onClick=${this.leave}>${t("Not now")}</button>`}
    </form>`;
  }
}
