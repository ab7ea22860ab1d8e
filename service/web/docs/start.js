// Starts Swagger UI on the page /docs. Addresses are relative to that page, so they hold behind a proxy under a path.

const { SwaggerUIBundle } = /** @type {any} */ (globalThis);

SwaggerUIBundle({
  dom_id: '#swagger-ui',
  url: 'openapi.json',
  layout: 'BaseLayout',
  deepLinking: true,
  validatorUrl: 'none', // otherwise it asks another host whether the schema is valid
});
