// What scripts/check asks of the web UI's scripts and their tests.
import js from "@eslint/js";
import globals from "globals";

const STATUS = "BinaryExpression[operator=/^[!=]==$/]";

export default [
  { ignores: ["app/dagbook/web/static/vendor/**"] },
  js.configs.recommended,
  {
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "max-len": ["error", { code: 120 }],
      "no-implicit-coercion": "error",
      "no-restricted-syntax": [
        "error",
        {
          selector: `${STATUS}:has(> MemberExpression[property.name="status"]):has(> Literal[value=type(number)])`,
          message: "Name the status: lib/status.js has those of runs and steps, lib/api.js those of answers.",
        },
        {
          selector: `${STATUS}:has(> Identifier[name="status"]):has(> Literal[value=type(number)])`,
          message: "Name the status: lib/status.js has those of runs and steps, lib/api.js those of answers.",
        },
      ],
      "no-shadow": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true }],
      "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["app/dagbook/web/static/**"], languageOptions: { globals: globals.browser } },
  { files: ["tests/web/js/**"], languageOptions: { globals: globals.node } },
];
