export * from "../../../../../scripts/libraries/core.js";
