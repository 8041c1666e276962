// Swagger UI over our own schema; calls from here carry the session and its CSRF token.
const box = document.getElementById("api-docs");
const csrf = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

window.SwaggerUIBundle({
  url: box.dataset.schema,
  domNode: box,
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers["X-CSRFToken"] = csrf;
    return request;
  },
});
