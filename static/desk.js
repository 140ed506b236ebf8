// The desk's one script: the ceremony of a passkey, which browsers offer to scripts alone. All else works without it.
(() => {
  "use strict";
  const code = document.getElementById("code");
  if (code && location.hash.length > 1) {
    code.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  }
  const place = document.getElementById("by-passkey");
  if (!place || !window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) return;
  place.hidden = false;
  const button = place.querySelector("button");
  const trouble = document.getElementById("trouble");
  const root = button.dataset.passkey;
  const post = (path, body) => fetch(root + path, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }
  });
  const say = (text) => { trouble.textContent = text; trouble.hidden = false; };
  button.addEventListener("click", async () => {
    trouble.hidden = true;
    button.disabled = true;
    try {
      const asked = await post("/options", {});
      if (!asked.ok) throw new Error("The desk does not answer. Open the page again.");
      const options = await asked.json();
      const made = root.endsWith("invitation")
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      const answer = await post("/passkey", made.toJSON());
      if (!answer.ok) throw new Error("This passkey does not let you in. Ask whoever runs the desk for an invitation.");
      location.assign((await answer.json()).go);
    } catch (error) {
      say(error.name === "NotAllowedError" ? "Nothing was signed. Try again." : error.message);
      button.disabled = false;
    }
  });
})();
