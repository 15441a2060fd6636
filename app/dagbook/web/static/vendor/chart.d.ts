export * from "../../../../../scripts/libraries/chart.js";
