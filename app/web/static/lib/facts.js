// What the server told with the document, and where it lies.

const element = document.querySelector('meta[name="dagbook"]');

export const facts = JSON.parse(element?.content ?? "{}");
export const base = new URL(document.baseURI);
export const apiBase = new URL("api/v2/", base);
