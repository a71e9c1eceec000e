//! The SQL types there are, as answered to `CommandGetXdbcTypeInfo`.

use std::sync::LazyLock;

use arrow_flight::sql::{
    Nullable, Searchable, XdbcDataType,
    metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
};

/// All types.
pub(crate) static XDBC_TYPES: LazyLock<XdbcTypeInfoData> = LazyLock::new(|| {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, bits) in [
        ("TINYINT", XdbcDataType::XdbcTinyint, 8),
        ("SMALLINT", XdbcDataType::XdbcSmallint, 16),
        ("INTEGER", XdbcDataType::XdbcInteger, 32),
        ("BIGINT", XdbcDataType::XdbcBigint, 64),
        ("REAL", XdbcDataType::XdbcReal, 24),
        ("DOUBLE", XdbcDataType::XdbcDouble, 53),
    ] {
        let radix = Some(2);
        let unsigned_attribute = Some(false);
        types.append(XdbcTypeInfo { num_prec_radix: radix, unsigned_attribute, ..plain(name, data_type, Some(bits)) });
    }
    types.append(XdbcTypeInfo {
        num_prec_radix: Some(10),
        unsigned_attribute: Some(false),
        fixed_prec_scale: true,
        create_params: Some(vec!["precision".into(), "scale".into()]),
        ..plain("DECIMAL", XdbcDataType::XdbcDecimal, Some(38))
    });
    types.append(plain("BOOLEAN", XdbcDataType::XdbcBit, Some(1)));
    types.append(XdbcTypeInfo { case_sensitive: true, ..quoted("VARCHAR", XdbcDataType::XdbcVarchar, None) });
    types.append(quoted("BYTEA", XdbcDataType::XdbcVarbinary, None));
    types.append(quoted("DATE", XdbcDataType::XdbcDate, Some(10)));
    types.append(quoted("TIME", XdbcDataType::XdbcTime, Some(18)));
    types.append(quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp, Some(29)));
    types.build().expect("a static list of types")
});

fn plain(name: &str, data_type: XdbcDataType, column_size: Option<i32>) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        local_type_name: Some(name.into()),
        data_type,
        sql_data_type: data_type,
        column_size,
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        ..Default::default()
    }
}

fn quoted(name: &str, data_type: XdbcDataType, column_size: Option<i32>) -> XdbcTypeInfo {
    let quote = || Some("'".to_owned());
    XdbcTypeInfo { literal_prefix: quote(), literal_suffix: quote(), ..plain(name, data_type, column_size) }
}
