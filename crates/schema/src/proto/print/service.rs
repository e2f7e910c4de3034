//! Services.

use prost_reflect::DynamicMessage;
use prost_reflect::prost_types::ServiceDescriptorProto;

use super::{Printer, at, element};

impl Printer {
    pub(super) fn service(
        &mut self,
        service: &ServiceDescriptorProto,
        dynamic: Option<&DynamicMessage>,
        path: &[i32],
    ) {
        let note = self.comments.note(path);
        self.writer
            .open(&note, &format!("service {}", service.name()));
        self.option_statements(dynamic, &[path, &[3]].concat());
        for (index, method) in service.method.iter().enumerate() {
            let stream = |streams: bool| if streams { "stream " } else { "" };
            let text = format!(
                "rpc {}({}{}) returns ({}{})",
                method.name(),
                stream(method.client_streaming()),
                method.input_type(),
                stream(method.server_streaming()),
                method.output_type(),
            );
            let path = at(path, 2, index);
            let note = self.comments.note(&path);
            if method.options.is_none() {
                self.writer.statement(&note, &text);
                continue;
            }
            self.writer.open(&note, &text);
            let own = element(dynamic, "method", index);
            self.option_statements(own, &[&path[..], &[4]].concat());
            self.writer.close();
        }
        self.writer.close();
    }
}
