/* Says what may be said here: no links to places unknown. */
#include "hooks.h"
#include "settings.h"

#include <ctype.h>

/* `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them. */
static const char schema[] =
{{schema}};

/* What the settings become, once: each call starts from a snapshot of it. */
static texts_t allowed;

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
  allowed = settings_texts(&parsed, 0, "allowed_hosts");
  return true;
}

static bool of_host(uint8_t c) { return isalnum(c) || c == '.' || c == '-' || c >= 0x80; }

/* Case does not matter. */
static bool is_allowed(const uint8_t *host, size_t length) {
  for (size_t i = 0; i < allowed.count; i++) {
    size_t at = 0;
    while (at < length && tolower(host[at]) == tolower((uint8_t)allowed.at[i][at])) at++;
    if (at == length && !allowed.at[i][at]) return true;
  }
  return false;
}

static bool links_elsewhere(const uint8_t *text, size_t length) {
  for (size_t i = 0; i + 3 <= length; i++) {
    if (memcmp(text + i, "://", 3) != 0) continue;
    size_t host = i + 3, end = host;
    while (end < length && of_host(text[end])) end++;
    if (!is_allowed(text + host, end - host)) return true;
  }
  return false;
}

void exports_isthmus_policy_content_hook_judge(exports_isthmus_policy_content_hook_call_t *call,
                                               exports_isthmus_policy_content_hook_item_t *item,
                                               exports_isthmus_policy_content_hook_borrow_body_t *body,
                                               exports_isthmus_policy_content_hook_judgement_t *ret) {
  memset(ret, 0, sizeof *ret);
  if (links_elsewhere(item->text.ptr, item->text.len)) {
    ret->verdict.tag = ISTHMUS_POLICY_TYPES_VERDICT_REJECT;
    hooks_string_dup(&ret->verdict.val.reject.code, "link");
    hooks_string_dup(&ret->verdict.val.reject.text, "links are not allowed here");
    ret->labels.ptr = malloc(sizeof(hooks_string_t));
    ret->labels.len = 1;
    hooks_string_dup(ret->labels.ptr, "link");
  }
  exports_isthmus_policy_content_hook_call_free(call);
  exports_isthmus_policy_content_hook_item_free(item);
}
