// Says which servers may do what here.

// `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them.
const schema = {{schema}};

// What the settings become, once: each call starts from a snapshot of it.
let closedTo = [];

export const lifecycle = {
  settingsSchema: () => JSON.stringify(schema),
  validateSettings: () => [],
  init(settings) {
    closedTo = JSON.parse(settings).closed_to.map(pattern);
  },
};

export const accessHook = {
  decide(call) {
    if (call.peer && closedTo.some((closed) => closed.test(call.peer.id))) {
      return { tag: 'deny', val: { code: 'closed', text: 'this server is not admitted here' } };
    }
    return { tag: 'abstain' };
  },
};

// `*` stands for any number of characters; case does not matter.
function pattern(text) {
  const parts = text.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'i');
}
