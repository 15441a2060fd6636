// The example DAGs, which are files beside the scripts.

import { HTTP, ApiError, post } from "./api.js";
import { config } from "./config.js";

/** The text of an example. @param {string} name */
export async function readExample(name) {
  const response = await fetch(new URL(`../examples/${name}.yaml`, import.meta.url));
  if (!response.ok) throw new ApiError(response.status, { message: `The example ${name} could not be loaded.` });
  return response.text();
}

/** Store examples as DAGs; one whose name is taken is left as it is. Throws ApiError. @param {string[]} names */
export async function addExamples(names) {
  for (const name of names) {
    const spec = await readExample(name);
    try {
      await post("dags", { name, spec });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === HTTP.CONFLICT)) throw error;
    }
  }
}

/** The names of all examples, that of the first one to run first. */
export const { examples } = config;
