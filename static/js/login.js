// A click on a sample account fills in the form.
for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", () => {
    document.getElementById("id_username").value = button.dataset.sample;
    document.getElementById("id_password").value = "atrium-sample";
    document.querySelector('form button.btn-primary').focus();
  });
}
