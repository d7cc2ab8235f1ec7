//! What the terminal client says, in English and Chinese.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lang {
    /// English.
    En,
    /// 中文.
    Zh,
}

impl Lang {
    /// As the environment says (`LC_ALL`, `LC_MESSAGES`, `LANG`, in this order).
    pub(super) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Lang {
        let said =
            ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
        if said.is_some_and(|value| value.to_ascii_lowercase().starts_with("zh")) { Lang::Zh } else { Lang::En }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Lang::En => &EN,
            Lang::Zh => &ZH,
        }
    }
}

/// Puts `values` in the places of the `{}`s.
pub(super) fn fill(template: &str, values: &[&str]) -> String {
    let mut parts = template.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for part in parts {
        text.push_str(values.next().copied().unwrap_or_default());
        text.push_str(part);
    }
    text
}

macro_rules! words {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// One language's words; `{}` is a place to be filled.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
            pub(super) days: [&'static str; 7],
            /// What each command does, by its name.
            pub(super) help: &'static [(&'static str, &'static str)],
        }
        static EN: Words = Words { $($name: $en,)* days: EN_DAYS, help: EN_HELP };
        static ZH: Words = Words { $($name: $zh,)* days: ZH_DAYS, help: ZH_HELP };
    };
}

const EN_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ZH_DAYS: [&str; 7] = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"];

words! {
    connecting: "connecting…", "正在连接…";
    catching_up: "catching up…", "正在同步…";
    live: "online", "在线";
    away: "offline; trying again in {} s ({})", "离线，{} 秒后重试（{}）";
    sending: "sending", "发送中";
    kept: "kept", "已保存";
    waiting: "waiting for the other server", "等待对方服务器";
    held: "held: an administrator decides", "待管理员审核";
    delivered: "delivered", "已送达";
    refused: "refused: {}", "被拒绝：{}";
    dropped: "dropped: {}", "已丢弃：{}";
    expired: "expired: the other server was not reached", "已过期：未能连通对方服务器";
    recalled: "{} took a message back", "{} 撤回了一条消息";
    you: "you", "我";
    picture: "picture", "图片";
    voice: "voice", "语音";
    file: "file", "文件";
    seconds: "{} s", "{} 秒";
    save_hint: "/save {}", "/save {}";
    file_failed: "the file did not arrive: {}", "文件未能送达：{}";
    no_chat: "No chat is open. /to NAME opens one, /help tells the rest.", "没有打开的会话。/to 名字 打开会话，/help 查看帮助。";
    nothing_said: "Nothing has been said here yet.", "这里还没有消息。";
    older_dropped: "older messages are not kept here", "更早的消息未保留";
    chats: "Chats", "会话";
    contacts: "Contacts", "联系人";
    requests: "Requests", "请求";
    groups: "Groups", "群组";
    members: "Members of {}", "{} 的成员";
    found: "Found: {}", "搜索结果：{}";
    help_title: "Help", "帮助";
    keys: "Tab completes, or goes to the next unread chat\nCtrl+N, Ctrl+P (Alt+↓↑): next chat, chat before\nPgUp, PgDn: scroll; Alt+Enter: a new line; ↑↓: typed before\nCtrl+C twice, Ctrl+D: leave", "Tab 补全，或转到下一个未读会话\nCtrl+N、Ctrl+P（Alt+↓↑）：下一个、上一个会话\nPgUp、PgDn 滚动；Alt+Enter 换行；↑↓ 输入历史\nCtrl+C 两次或 Ctrl+D 退出";
    files: "Files", "文件传输";
    none: "none", "无";
    sheet_hint: "↑↓ choose · Enter take · Esc close", "↑↓ 选择 · Enter 使用 · Esc 关闭";
    waiting_requests: "{} request(s): /requests", "{} 个请求：/requests";
    new_below: "{} new below", "下方有 {} 条新消息";
    asked: "asked", "已申请";
    asks: "asks you: {}", "申请加你：{}";
    invites: "{} invites you to “{}”", "{} 邀请你加入“{}”";
    applies: "{} applies to join", "{} 申请入群";
    owner: "owner", "群主";
    admin: "admin", "管理员";
    asks_friendship: "{} asks for friendship: /accept {}", "{} 请求加为好友：/accept {}";
    is_friend: "{} and you are friends now", "{} 和你已是好友";
    declined_friendship: "{} declined your request", "{} 谢绝了你的好友请求";
    ask_failed: "the request did not reach {}: {}", "请求未能送达 {}：{}";
    friend_ended: "the friendship ended", "好友关系已解除";
    request_ended: "the request was taken back", "好友请求已撤回";
    joined: "{} joined", "{} 加入了群";
    added: "{} brought in {}", "{} 邀请 {} 加入了群";
    removed: "{} removed {}", "{} 将 {} 移出了群";
    left: "{} left", "{} 退出了群";
    dissolved: "{} dissolved the group", "{} 解散了群";
    admin_set: "{} made {} admin", "{} 将 {} 设为管理员";
    admin_unset: "{}: {} is no admin any more", "{} 取消了 {} 的管理员身份";
    transferred: "{} gave the group to {}", "{} 将群转让给 {}";
    changed: "{} changed the group", "{} 修改了群信息";
    invitation_declined: "{} declined the invitation", "{} 谢绝了邀请";
    invitation_failed: "{} could not be added: {}", "未能加入 {}：{}";
    request_sent: "asked {}; the answer will be told here", "已向 {} 发出请求，等待答复";
    done: "done", "完成";
    invited: "invited {}", "已邀请 {}";
    group_made: "“{}” is made; /invite NAME brings people in", "群“{}”已建立；/invite 名字 邀请成员";
    no_answer: "no answer from the server: {}", "服务器没有应答：{}";
    searching: "searching…", "正在搜索…";
    peer_note: "not answered: {}", "未应答：{}";
    ambiguous: "{} may be: {}", "{} 可能是：{}";
    unknown_name: "nobody known is called {}; /search {} looks on every server, NAME@SERVER is always understood", "没有找到 {}；/search {} 可在所有服务器上搜索，也可直接输入 名字@服务器";
    unknown_command: "there is no /{}; /help lists what there is", "没有命令 /{}；/help 列出所有命令";
    did_you_mean: "there is no /{}; did you mean /{}? /help lists all", "没有命令 /{}；您是想用 /{} 吗？/help 列出所有命令";
    line_back: "↑ brings back: {}", "↑ 找回：{}";
    missing: "/{} wants {}", "/{} 需要 {}";
    no_open_chat: "open a chat first: /to NAME", "请先打开会话：/to 名字";
    no_open_group: "open a group first: /to NAME", "请先打开群：/to 名字";
    nothing_to_recall: "there is no message of yours to take back here", "这里没有可撤回的消息";
    nothing_to_accept: "nothing is waiting from {}", "没有来自 {} 的请求";
    no_such_file: "there is no file {} in this chat", "本会话中没有文件 {}";
    no_such_transfer: "no transfer {} is going on", "没有进行中的传输 {}";
    too_long: "a message has at most 65536 bytes", "消息最长 65536 字节";
    too_many: "too much is waiting; try again when some of it is done", "等待的操作过多，请稍后再试";
    uploading: "sending {}: {} of {}", "正在发送 {}：{} / {}";
    downloading: "fetching {}: {} of {}", "正在下载 {}：{} / {}";
    resuming: "{}: broke off, going on by itself ({})", "{}：中断，正在自动续传（{}）";
    saved: "saved as {}", "已保存到 {}";
    transfer_failed: "{}: {}", "{}：{}";
    canceled: "{}: canceled", "{}：已取消";
    canceled_left: "what is fetched already stays for the next try", "已下载部分保留，可继续下载";
    logged_out: "this device is logged out; start `isthmus chat` again to log in", "此设备已登出；请重新运行 isthmus chat 登录";
    muted: "you may read, but not write, until {}: {}", "在 {} 之前您可以阅读，但不能发言：{}";
    limited: "you may send {} message(s) a minute until {}: {}", "每分钟限发 {} 条消息，至 {}：{}";
    warned: "an administrator says to you: {}", "管理员提醒您：{}";
    measure_over: "an administrator lifted a measure: it bounds you no more", "管理员已解除对您的限制";
    once_more: "once more to leave", "再按一次退出";
    prompt_server: "Server (https://host:port): ", "服务器 (https://host:port)：";
    prompt_user: "User: ", "用户：";
    prompt_password: "Password of {}: ", "{} 的密码：";
    prompt_passphrase: "Passphrase of the session of {}: ", "{} 会话的口令：";
    prompt_new_passphrase: "New passphrase for the session on this machine: ", "为本机会话设置新口令：";
    prompt_again: "Once more: ", "请再输入一次：";
    differs: "That was another one; once more.", "两次输入不一致，请重试。";
    wrong_secret: "That is not it.", "不正确。";
}

const EN_HELP: &[(&str, &str)] = &[
    ("help", "this page"),
    ("to", "opens a chat with a person or group"),
    ("chats", "lists the chats"),
    ("contacts", "lists friends"),
    ("search", "looks for people on every server (@here: this one, @ID: that one)"),
    ("friend", "asks for friendship, with a word if you like"),
    ("accept", "says yes to a request or an invitation"),
    ("decline", "says no to it"),
    ("unfriend", "ends a friendship, or takes a request back"),
    ("requests", "lists what waits for an answer"),
    ("group", "makes a group and opens it"),
    ("groups", "lists your groups"),
    ("invite", "brings people into the open group"),
    ("members", "lists the open group's members"),
    ("remove", "removes a member from the open group"),
    ("leave", "leaves the open group"),
    ("file", "sends a file; pictures are sent as such"),
    ("save", "fetches a file, by its number"),
    ("files", "lists transfers"),
    ("cancel", "stops a transfer, by its number"),
    ("recall", "takes back your last message here, or the Nth last"),
    ("lang", "en or zh"),
    ("logout", "ends this device's log-in and leaves"),
    ("quit", "leaves; the session stays, sealed"),
];
const ZH_HELP: &[(&str, &str)] = &[
    ("help", "显示本页"),
    ("to", "打开与某人或某群的会话"),
    ("chats", "列出会话"),
    ("contacts", "列出好友"),
    ("search", "在所有服务器上找人（@here 仅本服务器，@ID 指定服务器）"),
    ("friend", "申请加好友，可附一句话"),
    ("accept", "同意请求或邀请"),
    ("decline", "谢绝请求或邀请"),
    ("unfriend", "解除好友关系，或撤回申请"),
    ("requests", "列出待答复的请求"),
    ("group", "建群并打开"),
    ("groups", "列出我的群"),
    ("invite", "邀请人加入当前群"),
    ("members", "列出当前群的成员"),
    ("remove", "将成员移出当前群"),
    ("leave", "退出当前群"),
    ("file", "发送文件；图片按图片发送"),
    ("save", "按编号下载文件"),
    ("files", "列出文件传输"),
    ("cancel", "按编号停止传输"),
    ("recall", "撤回最后一条（或倒数第 N 条）自己的消息"),
    ("lang", "en 或 zh"),
    ("logout", "登出此设备并退出"),
    ("quit", "退出；会话加密保存"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_environments() {
        let of = |pairs: &'static [(&str, &str)]| {
            Lang::of_environment(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(of(&[]), Lang::En);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")]), Lang::En);
        assert_eq!(of(&[("LC_ALL", ""), ("LC_MESSAGES", "ZH_TW"), ("LANG", "en_US")]), Lang::Zh);
    }

    #[test]
    fn both_languages_tell_of_the_same_commands() {
        let names = |lang: Lang| lang.words().help.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(Lang::En), names(Lang::Zh));
        assert_eq!(fill("{} and {}", &["a", "b"]), "a and b");
        assert_eq!(fill("{} and {}", &["a{}"]), "a{} and ");
    }
}
