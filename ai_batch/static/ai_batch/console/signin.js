// The form that trades a name and a password for tokens.
import { Component, createRef, html } from "./markup.js";
import { signIn } from "./session.js";
import { t } from "./texts.js";

export class SignIn extends Component {
  state = { failed: "", busy: false, second: false };
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
      await signIn(form.get("username"), form.get("password"), form.get("otp") ?? "");
      await this.props.done();
    } catch (error) {
      const second = this.state.second || error.code === "OTP_REQUIRED";
      this.setState({ failed: error.message, busy: false, second }, () => (this.code.current ?? this.name.current).focus());
    }
  };

  render(_, { failed, busy, second }) {
    const odd = failed ? "sign-in-failed" : undefined;
    return html`<form class="card narrow" onSubmit=${this.submit} aria-label=${t("Sign in")}>
      <h2>${t("Sign in")}</h2>
      ${failed && html`<p class="alert" role="alert" id="sign-in-failed">${failed}</p>`}
      <label>${t("User name")}
        <input ref=${this.name} name="username" autocomplete="username" required aria-describedby=${odd} /></label>
      <label>${t("Password")}
        <input name="password" type="password" autocomplete="current-password" required
          aria-describedby=${odd} /></label>
      ${second && html`<label>${t("Code of the second factor")}
        <input ref=${this.code} name="otp" autocomplete="one-time-code" required aria-describedby=${odd} /></label>`}
      <button disabled=${busy}>${busy ? t("Signing in…") : t("Sign in")}</button>
    </form>`;
  }
}
