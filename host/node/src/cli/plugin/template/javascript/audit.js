// Says how events are recorded: which fields stay out of the log.

// `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them.
const schema = {{schema}};

// What the settings become, once: each call starts from a snapshot of it.
let redactions = [];

export const lifecycle = {
  settingsSchema: () => JSON.stringify(schema),
  validateSettings: () => [],
  init(settings) {
    redactions = JSON.parse(settings).hidden.map((field) => [field, { tag: 'drop' }]);
  },
};

export const auditHook = {
  treat(event) {
    const severity = event.outcome === 'allowed' ? 'info' : 'warning';
    return { severity, redactions, detail: true, sinks: [] };
  },
};
