/* Says which servers may do what here. */
#include "hooks.h"
#include "settings.h"

#include <ctype.h>

/* `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them. */
static const char schema[] =
{{schema}};

/* What the settings become, once: each call starts from a snapshot of it. */
static texts_t closed_to;

void exports_isthmus_policy_lifecycle_settings_schema(hooks_string_t *ret) { hooks_string_dup(ret, schema); }

void exports_isthmus_policy_lifecycle_validate_settings(hooks_string_t *settings,
                                                        exports_isthmus_policy_lifecycle_list_diagnostic_t *ret) {
  hooks_string_free(settings);
  ret->ptr = NULL;
  ret->len = 0;
}

bool exports_isthmus_policy_lifecycle_init(hooks_string_t *settings, hooks_string_t *err) {
  settings_t parsed;
  if (!settings_parse(&parsed, settings->ptr, settings->len)) {
    hooks_string_dup(err, "the settings are no JSON");
    return false;
  }
  closed_to = settings_texts(&parsed, 0, "closed_to");
  return true;
}

/* `*` stands for any number of characters; case does not matter. */
static bool matches(const char *pattern, const char *text, const char *end) {
  if (*pattern == '*') return matches(pattern + 1, text, end) || (text < end && matches(pattern, text + 1, end));
  if (text == end || !*pattern) return text == end && !*pattern;
  return tolower((unsigned char)*pattern) == tolower((unsigned char)*text) && matches(pattern + 1, text + 1, end);
}

void exports_isthmus_policy_access_hook_decide(exports_isthmus_policy_access_hook_call_t *call,
                                               exports_isthmus_policy_access_hook_decision_t *ret) {
  ret->tag = ISTHMUS_POLICY_TYPES_DECISION_ABSTAIN;
  for (size_t i = 0; call->peer.is_some && i < closed_to.count; i++) {
    const char *id = (const char *)call->peer.val.id.ptr;
    if (matches(closed_to.at[i], id, id + call->peer.val.id.len)) {
      ret->tag = ISTHMUS_POLICY_TYPES_DECISION_DENY;
      hooks_string_dup(&ret->val.deny.code, "closed");
      hooks_string_dup(&ret->val.deny.text, "this server is not admitted here");
      break;
    }
  }
  exports_isthmus_policy_access_hook_call_free(call);
}
