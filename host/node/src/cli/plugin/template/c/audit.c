/* Says how events are recorded: which fields stay out of the log. */
#include "hooks.h"
#include "settings.h"

#include <ctype.h>

/* `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them. */
static const char schema[] =
{{schema}};

/* What the settings become, once: each call starts from a snapshot of it. */
static texts_t hidden;

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
  hidden = settings_texts(&parsed, 0, "hidden");
  return true;
}

void exports_isthmus_policy_audit_hook_treat(exports_isthmus_policy_audit_hook_event_t *event,
                                             exports_isthmus_policy_audit_hook_treatment_t *ret) {
  memset(ret, 0, sizeof *ret);
  bool allowed = event->outcome.len == 7 && memcmp(event->outcome.ptr, "allowed", 7) == 0;
  ret->severity = allowed ? ISTHMUS_POLICY_TYPES_SEVERITY_INFO : ISTHMUS_POLICY_TYPES_SEVERITY_WARNING;
  ret->detail = true;
  ret->redactions.ptr = calloc(hidden.count + 1, sizeof *ret->redactions.ptr);
  ret->redactions.len = hidden.count;
  for (size_t i = 0; i < hidden.count; i++) {
    hooks_string_dup(&ret->redactions.ptr[i].f0, hidden.at[i]);
    ret->redactions.ptr[i].f1.tag = ISTHMUS_POLICY_TYPES_REDACTION_DROP;
  }
  exports_isthmus_policy_audit_hook_event_free(event);
}
