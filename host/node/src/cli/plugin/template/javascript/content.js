// Says what may be said here: no links to places unknown.

// `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them.
const schema = {{schema}};

// What the settings become, once: each call starts from a snapshot of it.
let allowed = [];

export const lifecycle = {
  settingsSchema: () => JSON.stringify(schema),
  validateSettings: () => [],
  init(settings) {
    allowed = (JSON.parse(settings).allowed_hosts ?? []).map((host) => host.toLowerCase());
  },
};

export const contentHook = {
  judge(call, item, body) {
    const links = item.text.toLowerCase().matchAll(/:\/\/([\p{L}\p{N}.-]*)/gu);
    if ([...links].every(([, host]) => allowed.includes(host))) {
      return { verdict: { tag: 'pass' }, labels: [] };
    }
    const reason = { code: 'link', text: 'links are not allowed here' };
    return { verdict: { tag: 'reject', val: reason }, labels: ['link'] };
  },
};
